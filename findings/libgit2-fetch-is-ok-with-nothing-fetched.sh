#!/usr/bin/env bash
# libgit2 1.9.7 (in pygit2 1.21.0 from PyPI); git of the system (2.39.5) beside it.
#
# Expected: a fetch that returns without an error has done what its refspecs ask for, as with git: a branch that is not there is an error
#   ("couldn't find remote ref"), and a refspec without `+` whose branch was rewritten is refused (non-fast-forward, exit status 1).
# Seen: libgit2 returns without an error in both cases. The missing branch is passed over; the rewritten branch, and a tag that was moved,
#   stay at the old commit. Only the transfer counters and update callbacks, which stay silent, could tell.
# So: after a fetch the reference is compared with what the server advertised, and refspecs have a `+`: else a typo in a branch, or
#   a forced push, looks like "nothing new" for ever.

. "$(dirname "$0")/lib/common.sh"
. "$(dirname "$0")/lib/git.sh"
main=refs/heads/main
missing=refs/heads/relaese

expect "git, a branch that is not there: exit status" "$(by_git git "$missing:$missing")" 128
expect "libgit2, a branch that is not there" "$(by_libgit2 libgit2 "$missing:$missing")" ok

expect "git, main: exit status" "$(by_git git "$main:$main")" 0
expect "libgit2, main" "$(by_libgit2 libgit2 "$main:$main")" ok
git tag v1
expect "libgit2, tags" "$(by_libgit2 libgit2 "refs/tags/*:refs/tags/*")" ok
old=$(git rev-parse main)
git commit -q --amend --allow-empty -m rewritten
git tag -f v1 >/dev/null
new=$(git rev-parse main)
expect "git, main rewritten: exit status" "$(by_git git "$main:$main")" 1
expect "libgit2, main rewritten" "$(by_libgit2 libgit2 "$main:$main")" ok
expect "libgit2, v1 moved" "$(by_libgit2 libgit2 "refs/tags/*:refs/tags/*")" ok
expect "libgit2 still has the old main" "$(at libgit2 "$main")" "$old"
expect "libgit2 still has the old v1" "$(at libgit2 refs/tags/v1)" "$old"
expect "libgit2, main with a +" "$(by_libgit2 libgit2 "+$main:$main")" ok
expect "libgit2 has the new main" "$(at libgit2 "$main")" "$new"
echo "AS STATED"
