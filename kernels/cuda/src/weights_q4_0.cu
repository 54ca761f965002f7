// Q4_0 from the file to the card, and rows of it as values. SPEC.md sections 3 and 9.
#include "embed.cuh"
#include "pack.cuh"

KERNEL_BOUNDS(pack_q4_0, PackArgs, 32, 16) { pack<Q4_0>(a); }
KERNEL_BOUNDS(embed_q4_0, EmbedArgs, 128, 4) { embed<Q4_0>(a); }
