#!/bin/bash
# What libmu8.a needs of the program around it: memory functions, arithmetic that the processor lacks
# (from the compiler's own library), and what tells the processor's features: on x86 libgcc's
# processor model, on ARM under Linux getauxval, under macOS sysctlbyname. Anything else - the heap,
# exceptions, RTTI, libm, threads, files - is an error. So is a weak (inline) function in an object of one instruction set: the linker may give it to all others, and
# to processors that lack those instructions.
#
#   tests/engine/check_symbols.sh LIBMU8.A [NM]
set -eu

if [ $# -lt 1 ] || [ ! -f "$1" ]; then
  echo "usage: $0 LIBMU8.A [NM]" >&2
  exit 2
fi
library=$1
nm=${2:-nm}
# bcmp is clang's memcmp without an order.
allowed='^(memcpy|memmove|memset|memcmp|memchr|bcmp|_GLOBAL_OFFSET_TABLE_'
allowed+='|__cpu_model|__cpu_features2|__cpu_indicator_init|getauxval|sysctlbyname'
# Integers and floats by their modes (si, di, ti; sf, df), as most processors name them; ARM's names
# (i, l, f, d); jump tables of Thumb-1; what RISC-V calls instead of saving registers in line.
allowed+='|__(mul|u?div|u?mod|u?divmod|ashl|ashr|lshr|u?cmp|clz|ctz|popcount)[sdt]i[234]'
allowed+='|__(add|sub|mul|div|neg|eq|ne|lt|le|gt|ge|unord)[sd]f[23]'
allowed+='|__(fix|fixuns)[sd]f[sdt]i|__(float|floatun)[sdt]i[sd]f|__extendsfdf2|__truncdfsf2'
allowed+='|__aeabi_(u?idiv|u?idivmod|u?ldivmod|l(mul|lsl|lsr|asr|cmp)|ulcmp)'
allowed+='|__aeabi_(u?[il]2[fd]|[fd]2u?[il]z|f2d|d2f)'
allowed+='|__aeabi_[fd](add|r?sub|mul|div|neg|cmp(eq|lt|le|ge|gt|un))|__aeabi_c[fd]r?cmp(eq|le)'
allowed+='|__aeabi_mem(cpy|move|set|clr)[48]?|__gnu_thumb1_case_[us](qi|hi|si)'
allowed+='|__riscv_(save|restore)_[0-9]+'
# WebAssembly's stack, and its table of functions that pointers point to: the linker makes both.
allowed+='|__stack_pointer|__indirect_function_table)$'

# One line per symbol: member number, name, type.
symbols=$("$nm" --portability "$library" |
  awk '/:$/ {++member; next} NF >= 2 {print member, $1, $2}')
defined=$(awk '$3 != "U" && $3 != "w" {print $2}' <<<"$symbols" | sort -u)
undefined=$(awk '$3 == "U" || $3 == "w" {print $2}' <<<"$symbols" | sort -u)
count=$(wc -l <<<"$defined")
if [ "$count" -lt 20 ]; then
  echo "$library defines only $count symbols: is it the library?" >&2
  exit 1
fi
needed=$(comm -23 <(echo "$undefined") <(echo "$defined"))
foreign=$(grep -Ev "$allowed" <<<"$needed" || true)
if [ -n "$foreign" ]; then
  echo "$library needs what a device may not have:" >&2
  echo "$foreign" | sed 's/^/  /' >&2
  exit 1
fi

# Members that define something of mu8::kernels::<isa>, other than scalar.
weak=$(awk '
  $3 != "U" && $2 ~ /^_ZN3mu87kernels[0-9]+(avx|neon|armdsp|helium|wasm|sve|rvv)/ {isa[$1] = 1}
  $3 == "W" {names[$1] = names[$1] " " $2}
  END {for (member in names) if (member in isa) print names[member]}' <<<"$symbols")
if [ -n "$weak" ]; then
  echo "$library has inline functions compiled for one instruction set only:$weak" >&2
  exit 1
fi
echo "$library needs only:" $needed
