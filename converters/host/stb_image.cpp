// The one definition of stb_image's functions, cut down to what a data set may hold. Compiled here
// rather than linked from a distribution's library so that the other, less tested formats are not
// reachable and the size limit is ours.
#define STBI_ONLY_JPEG
#define STBI_ONLY_PNG
#define STBI_NO_STDIO
#define STBI_MAX_DIMENSIONS 16384
#define STB_IMAGE_IMPLEMENTATION
#include <stb/stb_image.h>
