#!/usr/bin/env bash
# libgit2 1.9.7 (in pygit2 1.21.0 from PyPI); git of the system (2.39.5) beside it.
#
# Expected: a fetch with prune follows when the branch `release` is deleted and `release/1` is made (a team that goes over to one branch per
#   version): prune removes what is gone, so there is room for the new one. git does it in one run, since it prunes first.
# Seen: libgit2 writes new references first and prunes afterwards. The fetch fails, today's, tomorrow's and every other, until somebody
#   deletes the old reference by hand; the error names a folder of the repository and no branch. The way back
#   (release/1 becomes release) fails in the same way.
# So: a mirror of branches is not pruned by libgit2: references that the server no longer advertises are deleted before the fetch, or
#   commits are kept under names of drover's own, which can not collide.

. "$(dirname "$0")/lib/common.sh"
. "$(dirname "$0")/lib/git.sh"
all='+refs/heads/*:refs/heads/*'
git branch release
expect "git, with release: exit status" "$(by_git git "$all" --prune)" 0
expect "libgit2, with release" "$(by_libgit2 libgit2 "$all" --prune)" ok
git branch -q -D release
git branch release/1
expect "git, with release/1: exit status" "$(by_git git "$all" --prune)" 0
expect "git has release/1" "$(at git refs/heads/release/1)" "$(git rev-parse main)"
expect "libgit2, with release/1" "$(by_libgit2 libgit2 "$all" --prune)" GitError
expect "libgit2, once more" "$(by_libgit2 libgit2 "$all" --prune)" GitError
expect "libgit2 has release/1" "$(at libgit2 refs/heads/release/1)" none
git -C "$T/libgit2" update-ref -d refs/heads/release
expect "libgit2, after release was deleted by hand" "$(by_libgit2 libgit2 "$all" --prune)" ok
git branch -q -D release/1
git branch release
expect "git, with release again: exit status" "$(by_git git "$all" --prune)" 0
expect "libgit2, with release again" "$(by_libgit2 libgit2 "$all" --prune)" GitError
echo "AS STATED"
