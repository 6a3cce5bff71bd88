# shellcheck shell=bash
# git of the system and libgit2 for a finding, with a repository `$T/server` that has one commit: sourced after common.sh.
pip_install pygit2==1.21.0
git --version
python3 -c 'import pygit2; print("libgit2", pygit2.LIBGIT2_VERSION)'
export HOME="$T" GIT_CONFIG_NOSYSTEM=1
export GIT_AUTHOR_NAME=author GIT_AUTHOR_EMAIL=author@example.com GIT_COMMITTER_NAME=author GIT_COMMITTER_EMAIL=author@example.com
git init -q -b main "$T/server"
cd "$T/server" || exit 1
git commit -q --allow-empty -m one

# by_git NAME REFSPEC [FLAG]: fetches into the bare repository of that name; prints git's exit status.
by_git() {
  [ -d "$T/$1" ] || git init -q --bare "$T/$1"
  status git -C "$T/$1" fetch --quiet --no-tags ${3:+"$3"} "$T/server" "$2"
}
# by_libgit2 NAME REFSPEC [--prune]: the same; prints "ok" or the class of the error, whose text goes to stderr.
by_libgit2() {
  python3 - "$T" "$@" <<'PYTHON'
import sys, pygit2
from pygit2.enums import FetchPrune
folder, name, refspec, prune = sys.argv[1], sys.argv[2], sys.argv[3], "--prune" in sys.argv
repository = pygit2.init_repository(f"{folder}/{name}", bare=True)
remote = repository.remotes.create_anonymous(f"{folder}/server")
if prune:
    remote = next(iter(repository.remotes), None) or repository.remotes.create("origin", f"{folder}/server", refspec)
try:
    remote.fetch([refspec], prune=FetchPrune.PRUNE if prune else FetchPrune.NO_PRUNE)
    print("ok")
except pygit2.GitError as error:
    print(error, file=sys.stderr)
    print("GitError")
PYTHON
}
# at NAME REF: the commit that the repository holds there, or "none".
at() { git -C "$T/$1" rev-parse -q --verify "$2" || echo none; }
