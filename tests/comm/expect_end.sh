#!/bin/sh
# expect_end.sh CODE COMMAND…: passes when the command ends with this code and none of its processes has left shared memory
# behind. (Files of processes that live are those of a test beside this one.)
code=$1
shift
"$@"
seen=$?
echo "exit code $seen"
for file in /dev/shm/breakeven.*; do
  [ -e "$file" ] || continue
  pid=${file#/dev/shm/breakeven.}
  pid=${pid%%.*}
  kill -0 "$pid" 2>/dev/null || { echo "left behind: $file" && exit 1; }
done
[ "$seen" -eq "$code" ]
