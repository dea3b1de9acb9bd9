package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"sigs.k8s.io/yaml"

	"sluice/internal/failure"
)

// Output formats.
const (
	table      = "table"
	jsonFormat = "json"
	yamlFormat = "yaml"
)

func checkOutput(format string) error {
	switch format {
	case table, jsonFormat, yamlFormat:
		return nil
	}
	return usage("--output %q is none of table, json, yaml", format)
}

// print shows a value: rows are used by the table only.
func (a *app) print(value any, header string, rows [][]string) error {
	switch a.output {
	case jsonFormat:
		encoder := json.NewEncoder(a.out)
		encoder.SetIndent("", "  ")
		encoder.SetEscapeHTML(false)
		return encoder.Encode(value)
	case yamlFormat:
		text, err := yaml.Marshal(value)
		if err != nil {
			return failure.Wrap(failure.Internal, err, "the answer can't be shown as YAML")
		}
		_, err = a.out.Write(text)
		return err
	}
	return printTable(a.out, header, rows)
}

// printDocuments shows values that were printed as table already, in a form that
// a parser takes: YAML documents, or one JSON document; a list when there could
// have been several.
func (a *app) printDocuments(values []any, several bool) error {
	switch {
	case a.output == table:
		return nil
	case a.output == jsonFormat && several:
		return a.print(values, "", nil)
	}
	for i, value := range values {
		if i > 0 {
			_, _ = fmt.Fprintln(a.out, "---")
		}
		if err := a.print(value, "", nil); err != nil {
			return err
		}
	}
	return nil
}

func printTable(w io.Writer, header string, rows [][]string) error {
	tab := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	if header != "" {
		_, _ = fmt.Fprintln(tab, strings.ReplaceAll(header, " ", "\t"))
	}
	for _, row := range rows {
		for i := range row {
			row[i] = clean(row[i])
		}
		_, _ = fmt.Fprintln(tab, strings.Join(row, "\t"))
	}
	return tab.Flush()
}

// clean keeps the server's text from steering the terminal.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case unicode.IsControl(r) || unicode.Is(unicode.Cf, r):
			return '\uFFFD'
		}
		return r
	}, text)
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func number[N int | int64](n N) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprint(n)
}

func when(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

// took is a duration for people: 340ms, 8.2s, 12m05s.
func took(ms int64) string {
	d := time.Duration(ms) * time.Millisecond
	switch {
	case d < time.Second:
		return fmt.Sprintf("%dms", ms)
	case d < time.Minute:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
}

func size(bytes int64) string {
	if bytes < 1<<20 {
		return fmt.Sprintf("%.1f KiB", float64(bytes)/(1<<10))
	}
	return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20))
}

func sorted(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
