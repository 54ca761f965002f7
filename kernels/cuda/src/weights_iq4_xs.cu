// IQ4_XS from the file to the card, and rows of it as values. SPEC.md sections 3 and 9.
#include "embed.cuh"
#include "pack.cuh"

KERNEL_BOUNDS(pack_iq4_xs, PackArgs, 32, 16) { pack<IQ4_XS>(a); }
KERNEL_BOUNDS(embed_iq4_xs, EmbedArgs, 128, 4) { embed<IQ4_XS>(a); }
