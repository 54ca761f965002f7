// Q2_K from the file to the card, and rows of it as values. SPEC.md sections 3 and 9.
#include "embed.cuh"
#include "pack.cuh"

KERNEL_BOUNDS(pack_q2_k, PackArgs, 32, 16) { pack<Q2_K>(a); }
KERNEL_BOUNDS(embed_q2_k, EmbedArgs, 128, 4) { embed<Q2_K>(a); }
