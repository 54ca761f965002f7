// Q4_K from the file to the card, and rows of it as values. SPEC.md sections 3 and 9.
#include "embed.cuh"
#include "pack.cuh"

KERNEL_BOUNDS(pack_q4_k, PackArgs, 32, 16) { pack<Q4_K>(a); }
KERNEL_BOUNDS(embed_q4_k, EmbedArgs, 128, 4) { embed<Q4_K>(a); }
