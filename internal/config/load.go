package config

import (
	"encoding"
	"os"
	"reflect"
	"strings"
	"time"
	"unicode"

	"github.com/go-viper/mapstructure/v2"
	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/v2"

	"sluice/internal/failure"
)

const prefix = "SLUICE_"

// load fills into, a pointer to a struct with its defaults set.
func load(name string, into any) error {
	k := koanf.New(".")
	if name != "" {
		if _, err := os.Stat(name); err != nil {
			return failure.Wrap(failure.Invalid, err, "the configuration file can't be read")
		}
		if err := k.Load(file.Provider(name), yaml.Parser()); err != nil {
			return failure.Wrap(failure.Invalid, err, "the configuration file %s is not YAML", name)
		}
	}
	keys := variables(reflect.TypeOf(into).Elem(), "")
	err := k.Load(env.Provider(".", env.Opt{Prefix: prefix, TransformFunc: func(name, value string) (string, any) {
		// Unknown variables are left alone: Kubernetes puts SLUICE_API_PORT and the
		// like into every pod beside a Service of that name.
		leaf, known := keys[name]
		if !known {
			return "", nil
		}
		if leaf.list {
			return leaf.path, split(value)
		}
		return leaf.path, value
	}}), nil)
	if err != nil {
		return failure.Wrap(failure.Invalid, err, "the environment can't be read")
	}
	err = k.UnmarshalWithConf("", into, koanf.UnmarshalConf{DecoderConfig: &mapstructure.DecoderConfig{
		Result: into, TagName: "koanf", ErrorUnused: true, WeaklyTypedInput: true,
		DecodeHook: mapstructure.ComposeDecodeHookFunc(mapstructure.StringToTimeDurationHookFunc(), mapstructure.TextUnmarshallerHookFunc()),
	}})
	if err != nil {
		return failure.Wrap(failure.Invalid, err, "the configuration is not valid").
			WithNext("correct the keys and values named; unknown keys are refused")
	}
	return nil
}

type leaf struct {
	path string
	list bool
}

// variables maps the environment's names to the configuration's keys.
func variables(t reflect.Type, path string) map[string]leaf {
	found := map[string]leaf{}
	for field := range t.Fields() {
		key := field.Tag.Get("koanf")
		if path != "" {
			key = path + "." + key
		}
		switch kind := field.Type.Kind(); {
		case field.Type == reflect.TypeFor[time.Duration](), isText(field.Type):
			found[variable(key)] = leaf{path: key}
		case kind == reflect.Struct:
			for name, l := range variables(field.Type, key) {
				found[name] = l
			}
		case kind == reflect.Slice && field.Type.Elem().Kind() == reflect.String:
			found[variable(key)] = leaf{path: key, list: true}
		case kind != reflect.Slice:
			found[variable(key)] = leaf{path: key}
		}
	}
	return found
}

func isText(t reflect.Type) bool {
	return reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

// variable is the environment's name of a key: hdfs.nameNodes → SLUICE_HDFS_NAME_NODES.
func variable(key string) string {
	var out strings.Builder
	out.WriteString(prefix)
	runes := []rune(key)
	for i, r := range runes {
		switch {
		case r == '.':
			out.WriteRune('_')
			continue
		case unicode.IsUpper(r) && i > 0 && unicode.IsLower(runes[i-1]):
			out.WriteRune('_')
		}
		out.WriteRune(unicode.ToUpper(r))
	}
	return out.String()
}

func split(value string) []string {
	parts := []string{}
	for part := range strings.SplitSeq(value, ",") {
		if part = strings.TrimSpace(part); part != "" {
			parts = append(parts, part)
		}
	}
	return parts
}
