// Hello is a small web server that can be told to misbehave in the ways in which real ones do.
//
// `hello once CODE [TIME]` says its version and greeting and ends with that code, after that time, as a job does. `hello migrate` brings
// the file `schema` in DATA_DIR to its version, and knows no newer one, as migrations do. Otherwise it answers every path with its greeting and version, /healthz with ok, and /data with what it wrote at its starts.
// All settings are environment variables:
//
//	VERSION, GREETING  what it shows
//	PORT, ADDRESS      where it listens; default 8080 on every address
//	LISTEN_LOCAL       any value: listens on 127.0.0.1 only
//	ALLOWED_HOSTS      hosts that it answers, separated by commas; others get 400, as Django does
//	DATA_DIR           it adds a line to the file `starts` there at every start, and refuses to run when it can not
//	SLOW_START         how long it takes before it listens, such as 20s
//	EXIT_CODE          it logs two lines and ends with this code
//	NEEDS              a file without which it ends
//	EAT_MEMORY         MiB of memory that it takes before it listens
//	LOG_ENV            name of a variable whose value it logs, as careless programs do
package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	log.SetFlags(0)
	log.SetOutput(os.Stdout)
	version := cmp.Or(os.Getenv("VERSION"), "unknown")
	log.Printf("hello %s starts", version)
	if name := os.Getenv("LOG_ENV"); name != "" {
		log.Printf("%s is %s", name, os.Getenv(name))
	}
	if len(os.Args) == 2 && os.Args[1] == "migrate" {
		migrate(version)
		return
	}
	if needed := os.Getenv("NEEDS"); needed != "" {
		if _, err := os.Stat(needed); err != nil {
			log.Fatal(err)
		}
	}
	if code, err := strconv.Atoi(os.Getenv("EXIT_CODE")); err == nil {
		log.Print("cannot connect to the database at db:5432")
		os.Exit(code)
	}
	if len(os.Args) >= 3 && os.Args[1] == "once" {
		code, err := strconv.Atoi(os.Args[2])
		if err != nil {
			log.Fatalf("%s is no exit code", os.Args[2])
		}
		if len(os.Args) > 3 {
			wait, err := time.ParseDuration(os.Args[3])
			if err != nil {
				log.Fatalf("%s is no time", os.Args[3])
			}
			time.Sleep(wait)
		}
		if greeting := os.Getenv("GREETING"); greeting != "" {
			log.Printf("greeting %s", greeting)
		}
		log.Printf("once from version %s", version)
		os.Exit(code)
	}
	eatMemory()
	starts := recordStart(version)
	if wait, err := time.ParseDuration(os.Getenv("SLOW_START")); err == nil {
		time.Sleep(wait)
	}
	serve(routes(version, starts))
}

// migrate writes its version to the file `schema` in DATA_DIR, unless a newer one was there.
func migrate(version string) {
	path := filepath.Join(os.Getenv("DATA_DIR"), "schema")
	found, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		log.Fatalf("cannot read the schema: %v", err)
	}
	if string(found) > version {
		log.Fatalf("unknown revision %s", found)
	}
	if err := os.WriteFile(path, []byte(version), 0o644); err != nil {
		log.Fatalf("cannot migrate: %v", err)
	}
	log.Printf("migrated from %q to %q", found, version)
}

func eatMemory() {
	mebibytes, _ := strconv.Atoi(os.Getenv("EAT_MEMORY"))
	eaten := bytes.Repeat([]byte{1}, mebibytes<<20) // written to, so that the pages are really there
	log.Printf("holding %d MiB", len(eaten)>>20)
}

// recordStart adds a line to the file `starts` in DATA_DIR and returns its path, or nothing without DATA_DIR.
func recordStart(version string) string {
	folder := os.Getenv("DATA_DIR")
	if folder == "" {
		return ""
	}
	path := filepath.Join(folder, "starts")
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		log.Fatalf("cannot write my data: %v", err)
	}
	defer file.Close()
	if _, err := fmt.Fprintf(file, "version %s\n", version); err != nil {
		log.Fatalf("cannot write my data: %v", err)
	}
	return path
}

func routes(version, starts string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "%s from version %s\n", cmp.Or(os.Getenv("GREETING"), "hello"), version)
	})
	if starts != "" {
		mux.HandleFunc("/data", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, starts) })
	}
	if folder := os.Getenv("FILES_DIR"); folder != "" {
		mux.Handle("/files/", http.StripPrefix("/files/", http.FileServer(http.Dir(folder))))
	}
	return onlyFor(os.Getenv("ALLOWED_HOSTS"), mux)
}

// onlyFor answers 400 to requests for a host that is not in the list; an empty list means any host.
func onlyFor(hosts string, next http.Handler) http.Handler {
	if hosts == "" {
		return next
	}
	allowed := strings.Split(hosts, ",")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		if !slices.Contains(allowed, host) {
			http.Error(w, "Invalid HTTP_HOST header: "+host, http.StatusBadRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// serve listens until it is told to end, and then finishes the requests that it has.
func serve(handler http.Handler) {
	address := os.Getenv("ADDRESS")
	if os.Getenv("LISTEN_LOCAL") != "" {
		address = "127.0.0.1"
	}
	server := &http.Server{
		Addr:              net.JoinHostPort(address, cmp.Or(os.Getenv("PORT"), "8080")),
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
	}
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM, syscall.SIGINT)
	ended := make(chan struct{})
	go func() {
		<-end
		deadline, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = server.Shutdown(deadline)
		close(ended)
	}()
	log.Printf("listening on %s", server.Addr)
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		log.Fatal(err)
	}
	<-ended
}
