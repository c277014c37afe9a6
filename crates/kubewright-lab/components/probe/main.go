// Command probe is what smoke tests run in pods: it serves a page, fetches one, looks a name up, or just stays.
//
// It is static and resolves names with Go's own resolver, which honours the search path of the pod's resolv.conf.
// Answers go to standard output, one per line, so that a test compares text; mistakes go to standard error.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// version is set by the linker from the recipe.
var version = "unknown"

const usage = `usage:
  probe serve [PORT]              answer HTTP on PORT (8080) with this pod's host name
  probe get URL [TIMEOUT]         fetch URL (TIMEOUT 5s), print the body, fail on any status but 200
  probe lookup NAME [TIMEOUT]     print the addresses of NAME, sorted
  probe hold                      stay until told to stop
  probe version
`

// A page larger than this is not one that a test compares.
const longestBody = 1 << 20

func main() {
	stop, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer cancel()
	if err := run(stop, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
		os.Exit(1)
	}
}

func run(stop context.Context, arguments []string) error {
	if len(arguments) == 0 {
		return errors.New("no command\n" + usage)
	}
	command, rest := arguments[0], arguments[1:]
	switch {
	case command == "serve" && len(rest) <= 1:
		return serve(stop, argument(rest, 0, "8080"))
	case command == "get" && (len(rest) == 1 || len(rest) == 2):
		return within(stop, argument(rest, 1, "5s"), func(ctx context.Context) error { return get(ctx, rest[0]) })
	case command == "lookup" && (len(rest) == 1 || len(rest) == 2):
		return within(stop, argument(rest, 1, "5s"), func(ctx context.Context) error { return lookup(ctx, rest[0]) })
	case command == "hold" && len(rest) == 0:
		<-stop.Done()
		return nil
	case command == "version" && len(rest) == 0:
		fmt.Println("probe", version)
		return nil
	default:
		return errors.New("not understood\n" + usage)
	}
}

func argument(arguments []string, index int, otherwise string) string {
	if index < len(arguments) {
		return arguments[index]
	}
	return otherwise
}

func within(parent context.Context, limit string, act func(context.Context) error) error {
	duration, err := time.ParseDuration(limit)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(parent, duration)
	defer cancel()
	return act(ctx)
}

func serve(stop context.Context, port string) error {
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("port %q: %w", port, err)
	}
	name, err := os.Hostname()
	if err != nil {
		return err
	}
	pages := http.NewServeMux()
	pages.HandleFunc("/", func(answer http.ResponseWriter, _ *http.Request) { fmt.Fprintln(answer, name) })
	pages.HandleFunc("/healthz", func(answer http.ResponseWriter, _ *http.Request) { fmt.Fprintln(answer, "ok") })
	pages.HandleFunc("/client", func(answer http.ResponseWriter, request *http.Request) {
		fmt.Fprintln(answer, request.RemoteAddr)
	})
	server := &http.Server{Addr: ":" + port, Handler: pages, ReadHeaderTimeout: 10 * time.Second}
	context.AfterFunc(stop, func() { _ = server.Close() })
	fmt.Println("serving", name, "on port", port)
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func get(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	// No proxy from the environment and no connection kept: each call is a new connection through the service.
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if _, err := io.Copy(os.Stdout, io.LimitReader(answer.Body, longestBody)); err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", url, answer.Status)
	}
	return nil
}

func lookup(ctx context.Context, name string) error {
	addresses, err := net.DefaultResolver.LookupHost(ctx, name)
	if err != nil {
		return err
	}
	slices.Sort(addresses)
	for _, address := range addresses {
		fmt.Println(address)
	}
	return nil
}
