package hdfs

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"sluice/internal/failure"
)

// isClosed asks the NameNode whether nobody writes the file any more. A file
// under construction can have its full length and header: only this tells. The
// library has the answer (LocatedBlocksProto.underConstruction) but no way to
// it, so this is the one call that is spoken by hand: ClientProtocol.isFileClosed
// over Hadoop RPC version 9.
func (c *Client) isClosed(ctx context.Context, name string) (bool, error) {
	var last error
	for _, address := range c.config.Addresses {
		closed, err := c.askClosed(ctx, address, name)
		if err == nil {
			return closed, nil
		}
		if failure.CodeOf(err) != failure.Unavailable {
			return false, err // this NameNode's word
		}
		last = err
	}
	return false, last
}

func (c *Client) askClosed(ctx context.Context, address, name string) (bool, error) {
	conn, err := (&net.Dialer{Timeout: c.config.Timeout}).DialContext(ctx, "tcp", address)
	if err != nil {
		return false, failure.Wrap(failure.Unavailable, err, "the NameNode can't be reached at %s", address)
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	_ = conn.SetDeadline(time.Now().Add(c.config.Timeout))

	var body []byte
	if _, err = conn.Write(closedRequest(c.config.User, name)); err == nil {
		body, err = readFrame(conn)
	}
	if err != nil {
		return false, failure.Wrap(failure.Unavailable, err, "the NameNode at %s did not answer", address)
	}
	closed, err := closedResponse(body)
	return closed, translate(err, name)
}

const clientProtocol = "org.apache.hadoop.hdfs.protocol.ClientProtocol"

// closedRequest is connection header, connection context and the call in one
// piece. Field numbers: RpcHeader.proto, IpcConnectionContext.proto,
// ProtobufRpcEngine.proto, ClientNamenodeProtocol.proto.
func closedRequest(user, name string) []byte {
	client := []byte(rand.Text()[:16])
	request := []byte{'h', 'r', 'p', 'c', 9, 0, 0}
	const contextCall, firstCall = -3, 0
	request = appendFrame(request, rpcHeader(contextCall, client), connectionContext(user))
	return appendFrame(request, rpcHeader(firstCall, client), methodHeader("isFileClosed"), stringField(nil, 1, name))
}

func rpcHeader(call int64, client []byte) []byte {
	header := varintField(nil, 1, 2)   // rpcKind: RPC_PROTOCOL_BUFFER
	header = varintField(header, 2, 0) // rpcOp: RPC_FINAL_PACKET
	header = varintField(header, 3, protowire.EncodeZigZag(call))
	return stringField(header, 4, string(client))
}

func connectionContext(user string) []byte {
	information := stringField(nil, 1, user) // effectiveUser
	return stringField(stringField(nil, 2, string(information)), 3, clientProtocol)
}

func methodHeader(method string) []byte {
	return varintField(stringField(stringField(nil, 1, method), 2, clientProtocol), 3, 1)
}

func stringField(b []byte, number protowire.Number, value string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, number, protowire.BytesType), value)
}

func varintField(b []byte, number protowire.Number, value uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, number, protowire.VarintType), value)
}

// appendFrame adds a frame: its length, then each message with its own length.
func appendFrame(b []byte, messages ...[]byte) []byte {
	var frame []byte
	for _, message := range messages {
		frame = protowire.AppendBytes(frame, message)
	}
	return append(binary.BigEndian.AppendUint32(b, uint32(len(frame))), frame...)
}

func readFrame(r io.Reader) ([]byte, error) {
	var length uint32
	if err := binary.Read(r, binary.BigEndian, &length); err != nil {
		return nil, err
	}
	if length > 1<<20 {
		return nil, fmt.Errorf("a frame of %d bytes is no answer", length)
	}
	frame := make([]byte, length)
	_, err := io.ReadFull(r, frame)
	return frame, err
}

// closedResponse reads RpcResponseHeaderProto (status 2, exceptionClassName 4)
// and IsFileClosedResponseProto (result 1).
func closedResponse(frame []byte) (bool, error) {
	header, n := protowire.ConsumeBytes(frame)
	if n < 0 {
		return false, fmt.Errorf("the answer's header is broken")
	}
	fields, err := readFields(header)
	if err != nil {
		return false, err
	}
	if fields[2].number != 0 {
		exception := fields[4].text
		switch {
		case strings.HasSuffix(exception, "FileNotFoundException"):
			return false, fs.ErrNotExist
		case strings.HasSuffix(exception, "AccessControlException"):
			return false, os.ErrPermission
		}
		return false, failure.New(failure.Unavailable, "the NameNode answered with %s", exception).With("exception", firstLine(fields[5].text))
	}
	body, n := protowire.ConsumeBytes(frame[n:])
	if n < 0 {
		return false, fmt.Errorf("the answer's body is broken")
	}
	result, err := readFields(body)
	return result[1].number != 0, err
}

type wireField struct {
	number uint64
	text   string
}

func readFields(message []byte) (map[protowire.Number]wireField, error) {
	fields := map[protowire.Number]wireField{}
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return nil, protowire.ParseError(n)
		}
		message = message[n:]
		switch kind {
		case protowire.VarintType:
			value, n := protowire.ConsumeVarint(message)
			if n < 0 {
				return nil, protowire.ParseError(n)
			}
			fields[number], message = wireField{number: value}, message[n:]
		case protowire.BytesType:
			value, n := protowire.ConsumeBytes(message)
			if n < 0 {
				return nil, protowire.ParseError(n)
			}
			fields[number], message = wireField{text: string(value)}, message[n:]
		default:
			n := protowire.ConsumeFieldValue(number, kind, message)
			if n < 0 {
				return nil, protowire.ParseError(n)
			}
			message = message[n:]
		}
	}
	return fields, nil
}
