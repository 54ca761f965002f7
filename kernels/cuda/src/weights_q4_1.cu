// Q4_1 from the file to the card, and rows of it as values. SPEC.md sections 3 and 9.
#include "embed.cuh"
#include "pack.cuh"

KERNEL_BOUNDS(pack_q4_1, PackArgs, 32, 16) { pack<Q4_1>(a); }
KERNEL_BOUNDS(embed_q4_1, EmbedArgs, 128, 4) { embed<Q4_1>(a); }
