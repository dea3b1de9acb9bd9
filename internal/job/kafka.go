package job

import (
	"fmt"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Kafka is what the platform must know of a job whose sinks write to Kafka in
// transactions: while the job is stopped, what its snapshot prepared waits at the
// broker to be committed, and is lost when the transaction's time is over.
type Kafka struct {
	Brokers              []string `json:"brokers"`              // host:port, of those that the site's configuration names
	TransactionTimeoutMS int64    `json:"transactionTimeoutMs"` // transaction.timeout.ms of the sinks
}

// Equal says whether two revisions say the same of Kafka; nil is nothing said.
func (k *Kafka) Equal(other *Kafka) bool {
	if k == nil || other == nil {
		return k == other
	}
	return slices.Equal(k.Brokers, other.Brokers) && k.TransactionTimeoutMS == other.TransactionTimeoutMS
}

// Limits of a revision's Kafka.
const (
	MaxBrokers            = 20
	MaxTransactionTimeout = 7 * 24 * 60 * 60 * 1000 // ms: the broker's own maximum is lower
)

// Placeholders in a revision's arguments. Only the platform knows a job's uid;
// a transactional id that hangs on it is the same for the job's whole life, and
// never another's.
const (
	placeJobUID             = "${job.uid}"
	placeBrokers            = "${kafka.brokers}"
	placeTransactionTimeout = "${kafka.transactionTimeoutMs}"
)

// placeholder finds what looks like one of ours, however it is spelt: one that
// isn't filled in would be the same transactional id for every job that has it,
// and they would fence each other off.
var placeholder = regexp.MustCompile(`(?i)\$\{\s*(?:job|kafka)\s*(?:\.[^}]*)?(?:\}|$)`)

// ArgumentsOf are the arguments that main gets: placeholders are filled in.
func (s Spec) ArgumentsOf(uid string) []string {
	pairs := []string{placeJobUID, uid}
	if s.Kafka != nil {
		pairs = append(pairs, placeBrokers, strings.Join(s.Kafka.Brokers, ","), placeTransactionTimeout, strconv.FormatInt(s.Kafka.TransactionTimeoutMS, 10))
	}
	fill := strings.NewReplacer(pairs...)
	var filled []string
	for _, argument := range s.Arguments {
		filled = append(filled, fill.Replace(argument))
	}
	return filled
}

// checkPlaceholders says which one of an argument can't be filled in.
func (s Spec) checkPlaceholders(argument string) string {
	for _, name := range placeholder.FindAllString(argument, -1) {
		switch name {
		case placeJobUID:
		case placeBrokers, placeTransactionTimeout:
			if s.Kafka == nil {
				return "has " + name + ", but the revision names no kafka"
			}
		default:
			return fmt.Sprintf("has %q: there are %s, %s and %s", name, placeJobUID, placeBrokers, placeTransactionTimeout)
		}
	}
	return ""
}

func (v *fields) kafka(k *Kafka) {
	if k == nil {
		return
	}
	if len(k.Brokers) == 0 || len(k.Brokers) > MaxBrokers {
		v.add("/kafka/brokers", fmt.Sprintf("has %d entries; 1 to %d are needed", len(k.Brokers), MaxBrokers), "for example kafka-1.example.com:9092")
	}
	for i, broker := range k.Brokers[:min(len(k.Brokers), MaxBrokers)] {
		if !isAddress(broker) {
			v.add("/kafka/brokers/"+strconv.Itoa(i), "is not of the form host:port", "for example kafka-1.example.com:9092")
		} else if at := slices.Index(k.Brokers, broker); at < i {
			v.add("/kafka/brokers/"+strconv.Itoa(i), fmt.Sprintf("repeats /kafka/brokers/%d", at), "leave it out")
		}
	}
	if k.TransactionTimeoutMS < 1 || k.TransactionTimeoutMS > MaxTransactionTimeout {
		v.add("/kafka/transactionTimeoutMs", fmt.Sprintf("must be from 1 to %d", MaxTransactionTimeout), "give what the job's sinks are built with: transaction.timeout.ms")
	}
}

var host = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$`)

func isAddress(text string) bool {
	name, port, err := net.SplitHostPort(text)
	if err != nil || !host.MatchString(name) && net.ParseIP(name) == nil {
		return false
	}
	number, err := strconv.Atoi(port)
	return err == nil && number > 0 && number < 1<<16
}

// broker lists are shown in one line.
func (k *Kafka) shown() (brokers, timeout string) {
	if k == nil {
		return "", ""
	}
	return strings.Join(k.Brokers, ","), strconv.FormatInt(k.TransactionTimeoutMS, 10)
}
