// Q5_0 from the file to the card, and rows of it as values. SPEC.md sections 3 and 9.
#include "embed.cuh"
#include "pack.cuh"

KERNEL_BOUNDS(pack_q5_0, PackArgs, 32, 16) { pack<Q5_0>(a); }
KERNEL_BOUNDS(embed_q5_0, EmbedArgs, 128, 4) { embed<Q5_0>(a); }
