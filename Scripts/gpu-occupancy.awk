# Makes the table of one target: joins what a compiler says of the kernels with the groups they are launched in, calculates
# the occupancy, and complains of what breaks the limits. Called by check-gpu-compilers with
#   -v target=NAME -v reasons=FILE -v used=FILE   LAUNCHES FACTS
# LAUNCHES: program, kernel, work-items, bytes of local memory as arguments, family, -D values; FACTS: program, kernel,
# registers, bytes (AMD: registers) spilled, bytes of private memory, bytes of local memory the kernel declares. What breaks a
# limit that a reason excuses goes into the file `used`.
#
# NVIDIA: an SM has 65536 registers (given to warps of 32 in units of 256, to four schedulers evenly), 64 warps, 32 groups and
# 164 KiB (sm_80) or 228 KiB (sm_90) of shared memory, of which a group takes 1 KiB more than it asks for, in units of 128.
# AMD: gfx90a and gfx942 have 4 SIMDs in a compute unit, each with 512 registers for a lane (units of 8) and 8 waves of 64;
# 64 KiB of local memory, 16 groups of more than one wave. gfx1100 has 4 SIMDs in a work-group processor, each with 1536
# registers for a lane of waves of 32 (units of 24), half of that for waves of 64, and 16 waves; 128 KiB, 32 groups.

function ceiling(x) { return x == int(x) ? x : int(x) + 1 }
function up(x, unit) { return ceiling(x / unit) * unit }
function least(a, b) { return a < b ? a : b }

# Percent of the waves that fit.
function occupancy(registers, shared, items,    wave, waves, groups, most, units, simd) {
  if (target ~ /^sm_/) {
    waves = ceiling(items / 32)
    most = 64
    groups = least(32, int(most / waves))
    groups = least(groups, int(int(65536 / up(registers * 32, 256) / 4) * 4 / waves))
    groups = least(groups, int((target == "sm_80" ? 164 : 228) * 1024 / up(shared + 1024, 128)))
  } else if (target ~ /^gfx9/) {
    waves = ceiling(items / 64)
    most = 32
    groups = least(int(most / waves), waves > 1 ? 16 : 32)
    groups = least(groups, int(4 * least(8, int(512 / up(registers, 8))) / waves))
    if (shared) groups = least(groups, int(65536 / up(shared, 512)))
  } else {
    wave = target ~ /wave64/ ? 64 : 32
    waves = ceiling(items / wave)
    most = 64
    groups = least(int(most / waves), 32)
    groups = least(groups, int(4 * least(16, int(1536 * 32 / wave / up(registers, 24 * 32 / wave))) / waves))
    if (shared) groups = least(groups, int(131072 / up(shared, 1024)))
  }
  return 100 * groups * waves / most
}

function complain(what) {
  print "error: " target ": " what > "/dev/stderr"
  failed = 1
}

# A limit that a line "WHAT KERNEL: reason" of the reasons may excuse.
function excusable(what, kernel, message) {
  print what " " kernel >> used
  if (!((what " " kernel) in known)) complain(message ", and " reasons " has no reason")
}

BEGIN {
  while ((getline line < reasons) > 0) if (line !~ /^#/ && split(line, field, ": ") > 1) known[field[1]] = 1
  isNVIDIA = target ~ /^sm_/
}

# The launches: of groups of one size the one with the most local memory.
FNR == NR {
  launch = $1 " " $2 " " $3
  if (!(launch in bytes)) {
    order[++count] = launch
    definitions = ""
    for (i = 6; i <= NF; i++) definitions = definitions " " $i
    program[launch] = $5 definitions
  }
  if (bytes[launch] == "" || $4 > bytes[launch]) bytes[launch] = $4
  next
}

{ facts[$1 " " $2] = $3 " " $4 " " $5 " " $6 }

END {
  printf "%-40s %5s %9s %6s %7s %6s %9s  %s\n",
    "kernel", "items", "registers", "spills", "private", "shared", "occupancy", "program"
  for (n = 1; n <= count; n++) {
    split(order[n], key, " ")
    if (!((key[1] " " key[2]) in facts)) {
      complain(key[2] " of " program[order[n]] ": the compiler does not tell of it")
      continue
    }
    split(facts[key[1] " " key[2]], fact, " ")
    shared = fact[4] + bytes[order[n]]
    share = occupancy(fact[1], shared, key[3])
    printf "%-40s %5d %9d %6d %7d %6d %7.1f %%  %s\n", key[2], key[3], fact[1], fact[2], fact[3], shared, share, program[order[n]]
    name = key[2] " of " program[order[n]]
    if (fact[2] > 0 || fact[3] > 0)
      excusable(isNVIDIA ? "memory" : "amdmemory", key[2], name ": " fact[2] " spilled, " fact[3] " bytes private")
    if (shared > 49152) complain(name ": " shared " bytes of shared memory")
    if (isNVIDIA && share < 50) excusable("occupancy", key[2], name ": occupancy " share " %")
  }
  exit failed
}
