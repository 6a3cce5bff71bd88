// Gitd serves one bare git repository over HTTPS to whoever knows the password, by git's own http-backend. It is the git server
// that the demo brings to a cluster that has none.
//
//	ADDRESS         where it listens, such as :8443
//	ROOT            the folder with the repository NAME.git, which is made when it is missing
//	NAME            the repository's name
//	USER, PASSWORD  who may read and push
//	CERTIFICATE, KEY  files in PEM
package main

import (
	"crypto/subtle"
	"log"
	"net/http"
	"net/http/cgi"
	"os"
	"os/exec"
	"path/filepath"
)

const backend = "/usr/lib/git-core/git-http-backend"

func main() {
	root := os.Getenv("ROOT")
	repository := filepath.Join(root, os.Getenv("NAME")+".git")
	if _, err := os.Stat(repository); os.IsNotExist(err) {
		run("git", "init", "--quiet", "--bare", "--initial-branch", "prod", repository)
		run("git", "-C", repository, "config", "http.receivepack", "true")
	}
	git := &cgi.Handler{
		Path: backend,
		Env:  []string{"GIT_PROJECT_ROOT=" + root, "GIT_HTTP_EXPORT_ALL=1", "HOME=" + root},
	}
	log.Fatal(http.ListenAndServeTLS(os.Getenv("ADDRESS"), os.Getenv("CERTIFICATE"), os.Getenv("KEY"),
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			user, password, _ := r.BasicAuth()
			if !same(user, os.Getenv("USER")) || !same(password, os.Getenv("PASSWORD")) {
				w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
				http.Error(w, "a user and a password, please", http.StatusUnauthorized)
				return
			}
			git.ServeHTTP(w, r)
		})))
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

func run(name string, arguments ...string) {
	command := exec.Command(name, arguments...)
	command.Stderr = os.Stderr
	command.Env = append(os.Environ(), "HOME="+os.Getenv("ROOT"))
	if err := command.Run(); err != nil {
		log.Fatalf("%s: %v", name, err)
	}
}
