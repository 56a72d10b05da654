// Package tableauapi says what Tableau's API looks like on the wire: the bodies
// of sign-ins and of their answers, error codes and what they mean, and which
// paths belong to which API.
//
// It makes no requests and holds no state. Everything that it decodes is taken
// to be hostile: bodies are bounded in size and depth, and whatever has two
// readings (a key that is there twice, a DTD, data behind the end) is refused,
// since another reader might choose the other one. An error says what is wrong
// and never quotes a value.
//
// Passwords, tokens and JWTs are of type [Secret], which cannot be printed.
//
// The shapes are those of the Tableau REST API Reference
// (https://help.tableau.com/current/api/rest_api/en-us/REST/rest_api.htm) and
// of what public clients send and expect, such as the Tableau Server Client
// for Python.
package tableauapi
