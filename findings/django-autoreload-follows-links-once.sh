#!/usr/bin/env bash
# Django 5.2.19 and gunicorn 27.0.1 (PyPI).
#
# Expected: `manage.py runserver` serves new code after a second or two, when the files below its folder are replaced the way a volume of a
#   ConfigMap does it, and git-sync: each name is a link by way of one link, and that one is exchanged in one step. The documentation: the
#   server reloads Python code as needed, a restart is not necessary.
# Seen: it goes on with the old code for ever. The reloader resolves the path of each module when it first sees it, so it watches the file
#   of the old set, which nobody changes. As soon as that one is touched it reloads, and serves the new code. gunicorn's
#   --reload --reload-engine poll, which looks at the time behind the link, serves the new code within two seconds.
# So: code on a volume whose links are exchanged needs a new process per set, or a reloader that follows links each time it looks.

. "$(dirname "$0")/lib/common.sh"
pip_install django==5.2.19 gunicorn==27.0.1
python3 -m django --version
mkdir -p "$T/sets/one" "$T/app"
cd "$T/sets/one"
python3 -m django startproject site1 .
cat >site1/views.py <<'PYTHON'
from django.http import HttpResponse

def index(request):
    return HttpResponse("one")
PYTHON
cat >site1/urls.py <<'PYTHON'
from django.urls import path
from site1 import views

urlpatterns = [path("", views.index)]
PYTHON
touch -d '1 hour ago' site1/*.py
cp -a "$T/sets/one" "$T/sets/two"
sed -i 's/"one"/"two"/' "$T/sets/two/site1/views.py"
publish() { ln -s "sets/$1" "$T/next" && mv -T "$T/next" "$T/published"; }
publish one
ln -s ../published/manage.py ../published/site1 "$T/app/"
cd "$T/app"
django=$(free_port)
PYTHONDONTWRITEBYTECODE=1 python3 manage.py runserver "127.0.0.1:$django" >"$T/django.log" 2>&1 &
started+=($!)
until_true curl -sf "http://127.0.0.1:$django/" -o /dev/null
gunicorn=$(free_port)
PYTHONDONTWRITEBYTECODE=1 gunicorn --no-control-socket --reload --reload-engine poll --bind "127.0.0.1:$gunicorn" site1.wsgi >"$T/gunicorn.log" 2>&1 &
started+=($!)
until_true curl -sf "http://127.0.0.1:$gunicorn/" -o /dev/null
sleep 3
says() { curl -s "http://127.0.0.1:$1/"; }
expect "Django's server at first" "$(says "$django")" one
expect "gunicorn at first" "$(says "$gunicorn")" one

publish two
sleep 8
expect "Django's server, 8 s after the links lead to the new set" "$(says "$django")" one
expect "gunicorn" "$(says "$gunicorn")" two
expect "the file by its name" "$(grep -o '"[a-z]*"' site1/views.py)" '"two"'

# It is watched where it was.
touch "$T/sets/one/site1/views.py"
sleep 8
expect "Django's server, 8 s after the file of the old set was touched" "$(says "$django")" two
echo "AS STATED"
