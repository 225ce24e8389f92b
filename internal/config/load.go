package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

const (
	originDefault = "default"
	originEnv     = "environment"

	fileSuffix = "_FILE"

	maxFile       = 1 << 20  // bytes of the configuration file
	maxSecretFile = 64 << 10 // bytes of a file that holds a secret
)

// value is a setting as one layer has it.
type value struct {
	text   string
	origin string
}

// layer is what the file or the environment says, by name: "WAYPOST_HTTP_ADDR",
// for secrets also "WAYPOST_INSTANCE_KEY_FILE".
type layer map[string]value

// Load reads the settings from a YAML file, unless its name is empty, and from the
// environment (as os.Environ returns it), which wins. The error joins everything
// that is wrong.
func Load(file string, environ []string) (Config, error) {
	var text []byte
	if file != "" {
		var err error
		if text, err = readLimited(file, maxFile); err != nil {
			return Config{}, fmt.Errorf("configuration file: %w", err)
		}
	}
	c, err := Parse(text, environ)
	if err != nil && file != "" {
		return Config{}, fmt.Errorf("configuration (file %s):\n%w", file, err)
	}
	return c, err
}

// Parse is Load for the text of a file.
func Parse(text []byte, environ []string) (Config, error) {
	fromFile, fileErrs := readYAML(text)
	fromEnv, envErrs := readEnv(environ)
	errs := append(fileErrs, envErrs...)

	c := Config{origins: map[string]string{}}
	failed := map[string]bool{}
	for _, s := range Settings() {
		v := value{text: s.Default, origin: originDefault}
		for _, l := range []layer{fromEnv, fromFile} {
			over, ok, err := l.lookup(s)
			if err != nil {
				errs, failed[s.Name] = append(errs, err), true
			} else if ok {
				v = over
			}
			if ok || err != nil {
				break
			}
		}
		if v.text == "" && !s.emptyOff {
			v = value{text: s.Default, origin: originDefault}
		}
		c.origins[s.Name] = v.origin
		if err := s.set(&c, v.text); err != nil {
			errs, failed[s.Name] = append(errs, problem(s.Name, v.origin, err)), true
		}
	}
	c.complete()
	errs = append(errs, c.problems(failed)...)
	for _, entry := range environ {
		if socket, ok := strings.CutPrefix(entry, "NOTIFY_SOCKET="); ok {
			c.NotifySocket = socket
		}
	}
	if err := errors.Join(errs...); err != nil {
		return Config{}, err
	}
	return c, nil
}

// problem names the setting and, unless that is clear, where it was set.
func problem(name, origin string, err error) error {
	if strings.HasPrefix(origin, "line ") {
		return fmt.Errorf("%s (%s): %w", name, origin, err)
	}
	return fmt.Errorf("%s: %w", name, err)
}

// lookup returns what the layer has for a setting, reading the file that a _FILE
// variant names.
func (l layer) lookup(s Setting) (v value, ok bool, err error) {
	v, ok = l[s.Name]
	file := l[s.Name+fileSuffix]
	if !s.Secret || file.text == "" {
		return v, ok, nil
	}
	if v.text != "" {
		return v, false, problem(s.Name, v.origin, fmt.Errorf("%s is given too; only one may be", s.Name+fileSuffix))
	}
	text, err := readSecret(file.text)
	if err != nil {
		return v, false, problem(s.Name+fileSuffix, file.origin, err)
	}
	return value{text: text, origin: file.origin}, true, nil
}

// readSecret keeps the path out of the error: people put the secret itself there.
func readSecret(path string) (string, error) {
	// Not a device or pipe, which could block for ever.
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return "", errors.New("does not name a regular file")
	}
	text, err := readLimited(path, maxSecretFile)
	if err != nil {
		if p, ok := errors.AsType[*fs.PathError](err); ok {
			err = p.Err
		}
		return "", fmt.Errorf("cannot read the file it names: %w", err)
	}
	secret := strings.TrimSpace(string(text))
	if secret == "" {
		return "", errors.New("the file it names is empty")
	}
	return secret, nil
}

func readLimited(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(text)) > limit {
		err = errors.New("too large: more than " + formatSize(limit))
	}
	return text, err
}

// known maps the names that may be used, also those of _FILE variants, to their
// settings.
func known(name func(Setting) string, suffix string) (map[string]Setting, []string) {
	settings := map[string]Setting{}
	var names []string
	add := func(n string, s Setting) {
		settings[n] = s
		names = append(names, n)
	}
	for _, s := range Settings() {
		add(name(s), s)
		if s.Secret {
			add(name(s)+suffix, s)
		}
	}
	return settings, names
}

// reServiceLink matches what Kubernetes sets for a service whose name begins with
// "waypost": that is no typing error. The _PORT form counts only with a URL as
// value (isServiceLink).
var (
	reServiceLink = regexp.MustCompile(`^WAYPOST(_[A-Z0-9_]+)?_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$`)
	reServiceURL  = regexp.MustCompile(`^(tcp|udp|sctp)://`)
)

func isServiceLink(name, text string) bool {
	return reServiceLink.MatchString(name) || strings.HasSuffix(name, "_PORT") && reServiceURL.MatchString(text)
}

func readEnv(environ []string) (layer, []error) {
	settings, names := known(func(s Setting) string { return s.Name }, fileSuffix)
	l := layer{}
	var errs []error
	for _, entry := range environ {
		name, text, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, Prefix) {
			continue
		}
		if _, ok := settings[name]; !ok {
			if !isServiceLink(name, text) {
				errs = append(errs, fmt.Errorf("%s: no such setting; did you mean %s?", name, nearest(name, names)))
			}
			continue
		}
		l[name] = value{text: strings.TrimSpace(text), origin: originEnv}
	}
	return l, errs
}

func readYAML(text []byte) (layer, []error) {
	l := layer{}
	root, err := parseYAML(text)
	if err != nil || root == nil {
		return l, appendError(nil, err)
	}
	settings, names := known(func(s Setting) string { return s.Key }, strings.ToLower(fileSuffix))
	var errs []error
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, node := root.Content[i], root.Content[i+1]
		origin := "line " + strconv.Itoa(key.Line)
		s, ok := settings[key.Value]
		if !ok || key.Kind != yaml.ScalarNode {
			errs = append(errs, fmt.Errorf("%s: %q is no setting; did you mean %s?", origin, key.Value, nearest(key.Value, names)))
			continue
		}
		name := s.Name
		if key.Value != s.Key {
			name += fileSuffix
		}
		if _, ok := l[name]; ok {
			errs = append(errs, problem(name, origin, errors.New("given twice")))
			continue
		}
		text, err := nodeText(node, s.list)
		if err != nil {
			errs = append(errs, problem(name, origin, err))
			continue
		}
		l[name] = value{text: text, origin: origin}
	}
	return l, errs
}

// parseYAML returns the mapping of a one-document YAML text, nil if it is empty.
func parseYAML(text []byte) (*yaml.Node, error) {
	decoder := yaml.NewDecoder(strings.NewReader(string(text)))
	var doc, more yaml.Node
	if err := decoder.Decode(&doc); errors.Is(err, io.EOF) {
		return nil, nil // an empty file sets nothing
	} else if err != nil {
		return nil, yamlError(err)
	}
	if err := decoder.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, errors.New("the file has more than one YAML document")
	}
	root := &doc
	if doc.Kind == yaml.DocumentNode && len(doc.Content) == 1 {
		root = doc.Content[0]
	}
	if root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
		return nil, nil // only comments
	}
	if root.Kind != yaml.MappingNode {
		return nil, errors.New(`the file is not a YAML mapping of lines "key: value"`)
	}
	return root, nil
}

// yamlError drops what the parser quotes of the text: it might be a secret.
func yamlError(err error) error {
	message, _, quoted := strings.Cut(err.Error(), "'")
	if quoted {
		message = strings.TrimSpace(message) + " ..."
	}
	return errors.New(message)
}

// nodeText returns a scalar as it was written, and a sequence of scalars, where the
// setting is a list, with commas.
func nodeText(node *yaml.Node, list bool) (string, error) {
	switch {
	case node.Kind == yaml.ScalarNode && node.Tag == "!!null":
		return "", nil
	case node.Kind == yaml.ScalarNode:
		return strings.TrimSpace(node.Value), nil
	case node.Kind == yaml.SequenceNode && list:
		texts := make([]string, 0, len(node.Content))
		for _, item := range node.Content {
			if item.Kind != yaml.ScalarNode {
				return "", errors.New("not a list of plain values")
			}
			texts = append(texts, item.Value)
		}
		return strings.Join(texts, ","), nil
	case node.Kind == yaml.SequenceNode:
		return "", errors.New("takes one value, not a list")
	}
	return "", errors.New("not a plain value")
}

func appendError(errs []error, err error) []error {
	if err == nil {
		return errs
	}
	return append(errs, err)
}
