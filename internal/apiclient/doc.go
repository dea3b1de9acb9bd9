// Package apiclient is the client side of api/openapi.yaml, generated: change
// that file, then go generate ./api/internal/gen ./internal/apiclient.
package apiclient

//go:generate go run github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@v2.8.2 -config config.yaml ../../api/openapi.yaml
