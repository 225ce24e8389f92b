package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// gateway is the built waypost binary: signing, on its built-in gateway straight to
// the recipient's exchanger; otherwise handing over to the operator's own server.
type gateway struct {
	binary  string
	signing bool
}

func (g gateway) name() string {
	if g.signing {
		return "waypost-signed"
	}
	return "waypost-unsigned"
}

func (g gateway) signs() bool { return g.signing }

func (g gateway) start(ctx context.Context, dir string, sink int) (_ *instance, err error) {
	if !exists(g.binary) {
		return nil, fmt.Errorf("%s is not there: run make build", g.binary)
	}
	in := &instance{}
	defer func() {
		if err != nil {
			_ = in.stop()
		}
	}()
	resolver, err := startZone(ctx, in)
	if err != nil {
		return nil, err
	}
	var ports [3]int
	for i := range ports {
		if ports[i], err = freePort(ctx); err != nil {
			return nil, err
		}
	}
	in.addr = loopback(ports[0])
	web := "http://" + loopback(ports[1])
	env := []string{
		"PATH=" + os.Getenv("PATH"),
		"HOME=" + dir,
		"WAYPOST_DATA_DIR=" + filepath.Join(dir, "data"),
		"WAYPOST_SMTP_ADDR=" + in.addr,
		"WAYPOST_HTTP_ADDR=" + loopback(ports[1]),
		"WAYPOST_METRICS_ADDR=" + loopback(ports[2]),
		"WAYPOST_HOSTNAME=gw." + platformDomain,
		"WAYPOST_DNS_RESOLVER=" + resolver,
		"WAYPOST_GUARD_ALLOW=127.0.0.0/8",
		// As Postfix's default_destination_concurrency_limit here.
		"WAYPOST_SITE_SESSIONS=50",
		"WAYPOST_RELAY_SESSIONS=50",
		fmt.Sprintf("WAYPOST_MX_PORT=%d", sink),
		fmt.Sprintf("WAYPOST_RELAY_PORTS=25,465,587,2525,%d", sink),
	}
	if g.signing {
		env = append(env, "WAYPOST_PLATFORM_DOMAIN="+platformDomain, "WAYPOST_PLATFORM_FROM="+senderAddress)
	}
	if err := g.serve(ctx, in, dir, web, env); err != nil {
		return nil, err
	}
	key, err := g.enroll(ctx, env)
	if err != nil {
		return nil, err
	}
	if g.signing {
		in.txt, err = g.records(ctx, env)
		return in, err
	}
	return in, useOwnServer(ctx, web, key, sink)
}

// serve starts the gateway and waits until it says that it is ready.
func (g gateway) serve(ctx context.Context, in *instance, dir, web string, env []string) error {
	path := filepath.Join(dir, "log")
	log, err := os.Create(path)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := command(ctx, g.binary, "serve")
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, env, log, log
	d, err := startDaemon(cmd)
	if err != nil {
		return err
	}
	in.onStop(d.stop)
	in.roots = append(in.roots, d.pid())
	err = waitFor(ctx, "waypost", d, func() bool {
		status, _, err := call(ctx, http.MethodGet, web+"/readyz", "", nil)
		return err == nil && status == http.StatusOK
	})
	said, readErr := os.ReadFile(path)
	if readErr != nil {
		return readErr
	}
	if err != nil {
		return fmt.Errorf("%w; it said:\n%s", err, said)
	}
	// The log names the RSA implementation in use; the mark depends on it.
	in.goRSA = bytes.Contains(said, []byte("crypto/rsa"))
	return nil
}

// enroll makes an operator and a credential for software on this machine, which
// smtp-source needs because it cannot authenticate. It returns the API key.
func (g gateway) enroll(ctx context.Context, env []string) (string, error) {
	var operator struct{ ID string }
	if err := g.tell(ctx, env, &operator, "operator", "create", "--name", "bench", "--product", "servermate", "--trusted", "--json"); err != nil {
		return "", err
	}
	var credential struct{ Key string }
	err := g.tell(ctx, env, &credential, "credential", "create", "--operator", operator.ID, "--network", "127.0.0.1/32", "--json")
	return credential.Key, err
}

// tell runs a subcommand and decodes what it prints.
func (g gateway) tell(ctx context.Context, env []string, into any, args ...string) error {
	cmd := exec.CommandContext(ctx, g.binary, args...)
	cmd.Env = env
	out, err := output(cmd)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(out, into); err != nil {
		return fmt.Errorf("%v printed %q: %w", args, out, err)
	}
	return nil
}

// records returns a look-up over the TXT records that the platform is to publish.
func (g gateway) records(ctx context.Context, env []string) (func(string) ([]string, error), error) {
	var published struct {
		Records []struct{ Type, Name, Value string }
	}
	if err := g.tell(ctx, env, &published, "platform", "dns", "--json"); err != nil {
		return nil, err
	}
	zone := make(map[string][]string)
	for _, r := range published.Records {
		name := strings.TrimSuffix(r.Name, ".") + "/" + r.Type
		zone[name] = append(zone[name], strings.TrimSuffix(r.Value, "."))
	}
	return func(name string) ([]string, error) {
		for range 8 { // CNAMEs in a row
			if txt := zone[name+"/TXT"]; len(txt) > 0 {
				return slices.Clone(txt), nil
			}
			alias := zone[name+"/CNAME"]
			if len(alias) == 0 {
				break
			}
			name = alias[0]
		}
		return nil, fmt.Errorf("no TXT record at %s", name)
	}, nil
}

// useOwnServer makes the sink the operator's own SMTP server.
func useOwnServer(ctx context.Context, web, key string, sink int) error {
	settings := map[string]any{
		"from": "Bench <" + senderAddress + ">",
		"gateway": map[string]any{
			"type": "smtp", "host": "127.0.0.1", "port": sink, "security": "none", "auth": nil,
		},
	}
	body, err := json.Marshal(settings)
	if err != nil {
		return err
	}
	status, answer, err := call(ctx, http.MethodPut, web+"/v1/settings/email", key, body)
	if err != nil {
		return err
	}
	if status/100 != 2 {
		return fmt.Errorf("saving the settings: %d: %s", status, answer)
	}
	return nil
}

// call makes one HTTP request and returns the status and the answer.
func call(ctx context.Context, method, url, key string, body []byte) (int, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	return res.StatusCode, answer, err
}
