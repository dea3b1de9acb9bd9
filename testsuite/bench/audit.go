package bench

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
)

// Audit reads the API server's audit log from where it left off.
type Audit struct {
	file   *os.File
	reader *bufio.Reader
}

// OpenAudit opens the log.
func OpenAudit(path string) (*Audit, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return &Audit{file: file, reader: bufio.NewReaderSize(file, 1<<20)}, nil
}

// Skip goes to the log's end.
func (a *Audit) Skip() error {
	_, err := a.file.Seek(0, io.SeekEnd)
	a.reader.Reset(a.file)
	return err
}

// Count is how many requests, besides watches and the observer's election, the
// users with one of the prefixes made since the last Skip or Count.
func (a *Audit) Count(users ...string) (int, error) {
	count := 0
	for {
		line, err := a.reader.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return count, nil
		}
		if err != nil {
			return count, err
		}
		var event struct {
			Stage string `json:"stage"`
			Verb  string `json:"verb"`
			User  struct {
				Username string `json:"username"`
			} `json:"user"`
			Object struct {
				Resource string `json:"resource"`
				Name     string `json:"name"`
			} `json:"objectRef"`
		}
		if err := json.Unmarshal(line, &event); err != nil {
			continue // half a line: the server is writing it
		}
		if event.Stage != "ResponseComplete" || event.Verb == "watch" || strings.HasPrefix(event.Object.Name, "sluice-observer-") {
			continue
		}
		for _, prefix := range users {
			if strings.HasPrefix(event.User.Username, prefix) {
				count++
				break
			}
		}
	}
}
