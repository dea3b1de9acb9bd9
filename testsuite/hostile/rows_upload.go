package hostile

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"sluice/internal/failure"
)

var jarType = []string{"Content-Type", "application/java-archive"}

const manifest = "META-INF/MANIFEST.MF"

// jar makes one that has empty entries.
func jar(names ...string) string {
	return jarWith(names, func(*zip.Writer) error { return nil })
}

// jarWith is jar with what more adds.
func jarWith(names []string, more func(*zip.Writer) error) string {
	var buffer bytes.Buffer
	w := zip.NewWriter(&buffer)
	for _, name := range names {
		if _, err := w.Create(name); err != nil {
			panic(err) // into memory
		}
	}
	if err := more(w); err != nil {
		panic(err)
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return buffer.String()
}

// bomb unpacks to 70 MiB of zeros.
func bomb() string {
	return jarWith([]string{manifest}, func(w *zip.Writer) error {
		entry, err := w.Create("zeros")
		if err == nil {
			_, err = entry.Write(make([]byte, 70<<20))
		}
		return err
	})
}

// crowd lists 250,001 entries.
func crowd() string {
	var record bytes.Buffer
	local, directory, _ := strings.Cut(jar("x"), "PK\x01\x02")
	entry, _, _ := strings.Cut(directory, "PK\x05\x06")
	record.WriteString("PK\x01\x02" + entry)
	const entries = 250_001
	end := bytes.NewBuffer(nil)
	number := func(n uint64, width int) {
		for range width {
			end.WriteByte(byte(n))
			n >>= 8
		}
	}
	length, begin := uint64(entries*record.Len()), uint64(len(local))
	end.WriteString("PK\x06\x06")
	number(44, 8)
	number(45|45<<16, 4)
	number(0, 8)
	number(entries, 8)
	number(entries, 8)
	number(length, 8)
	number(begin, 8)
	end.WriteString("PK\x06\x07")
	number(0, 4)
	number(begin+length, 8)
	number(1, 4)
	end.WriteString("PK\x05\x06")
	number(0, 4)
	number(0xffffffffffffffff, 4) // entries: see zip64
	number(0xffffffff, 4)
	number(0xffffffff, 4)
	number(0, 2)
	return local + strings.Repeat(record.String(), entries) + end.String()
}

func digest(content string) string {
	sum := sha256.Sum256([]byte(content))
	return "sha256:" + hex.EncodeToString(sum[:])
}

func uploads() []Request {
	push := func(name, content string) Request {
		return Request{Name: "upload: " + name, Method: "POST", Path: artifacts, Header: jarType, Body: content, Code: "invalid", Field: "body"}
	}
	at := func(query string, r Request, field string) Request {
		r.Path, r.Field = r.Path+query, field
		return r
	}
	good := jar(manifest, "io/sluice/Main.class")
	short := push("shorter than it says", good)
	short.Length, short.CutOff = "5000", true
	declared := push("1 GiB and a byte declared", "").refused(failure.TooLarge, "1 GiB")
	declared.Length = "1073741825"
	negative := push("a negative length", good)
	negative.Length, negative.Plain = "-1", 400
	endless := push("no jar, and without an end", "")
	endless.Endless = true
	return []Request{
		short, declared, negative, endless,
		push("nothing", ""),
		push("a page", "<html><body>404</body></html>"),
		push("a class file", "\xca\xfe\xba\xbe\x00\x00\x00\x34"),
		push("cut off", good[:len(good)-30]),
		push("no entries", jar()),
		push("no manifest", jar("io/sluice/Main.class")).saying(manifest),
		push("a way out", jar(manifest, "../../../../etc/cron.d/evil")).saying("leads out"),
		push("an absolute path", jar(manifest, "/etc/passwd")),
		push("a Windows path", jar(manifest, `..\..\evil.dll`)),
		push("a zero byte in a name", jar(manifest, "a\x00.class")),
		push("a bomb", bomb()).refused(failure.TooLarge, "times its own size"),
		push("250,001 entries", crowd()).refused(failure.TooLarge, "250001 entries"),
		push("another content type", good).with("Content-Type", "text/html").named("Content-Type"),
		at("?digest="+digest("another"), push("another digest", good), "").refused(failure.Digest, "digest is"),
		at("?digest=sha256:abc", push("a short digest", good), "digest"),
		at("?digest="+strings.ToUpper(digest(good)), push("a digest in capitals", good), "digest"),
		at("?digest=sha256:../../x", push("a digest that leads away", good), "digest"),
		at("?digest="+digest(good), push("two digests", good), "Digest").with("Digest", digest("another")),
		push("a digest of another kind", good).with("Digest", "md5=xxx").named("Digest"),
		push("a digest that isn't one", good).with("Digest", "sha-256=!!").named("Digest"),
	}
}

func (r Request) named(field string) Request {
	r.Field = field
	return r
}
