package tableauapi

// This file holds what is known of each method of Tableau's APIs: an Operation,
// and the words that describe it. The data is in catalog.tsv.

import "iter"

// An Operation is one method of Tableau's APIs, such as Query Workbooks for
// Site. The catalog makes all of them; none may be changed.
type Operation struct {
	// Name is Tableau's name of the method in snake_case, such as
	// "query_workbooks_for_site". Aliases are the other methods of Tableau's
	// reference that are the same call.
	Name    string
	Aliases []string
	// Method is the HTTP method.
	Method string
	// Template is the whole path. {name} stands for one segment, (a|b) for
	// either of two spellings, so that "/tags:(batchDelete|BatchDelete)" is two
	// paths.
	Template string
	// Query is the query parameter that tells the operation from another one
	// of the same method and template, or "".
	Query string
	// Resource is what the operation is about, such as "workbooks".
	Resource string
	Class    Class
	// Mutates reports whether it changes something at Tableau.
	Mutates bool
	// Scopes are what a session from a JWT must have, all of them, in
	// alphabetical order. With none, any session will do.
	Scopes []string
	// MinVersion is the version of the REST API that brought the operation,
	// and JWTSince the later one that let sessions from JWTs use it. Both are
	// "" where that is not known.
	MinVersion, JWTSince string
	JWT                  JWT
	// Danger is why a proxy whose sessions are shared should refuse the call
	// unless its operator allows it by name. Reason says the same in a sentence.
	Danger Danger
	Reason string
	// Source is where the data is from, and Note what was decided where
	// sources disagree or are silent.
	Source, Note string

	paths  [][]string // the segments of the template's spellings
	groups [2][]tier  // by ByResource and ByClass
}

// String returns the operation's name.
func (op *Operation) String() string { return op.Name }

// A Class is a kind of operation, by what it takes to be trusted with it.
type Class string

// The classes. Admin is about people, settings, and who may do what; reading
// settings belongs to it too.
const (
	ClassRead  Class = "read"
	ClassWrite Class = "write"
	ClassRun   Class = "run" // starts or stops work that takes the server's time
	ClassAdmin Class = "admin"
)

// JWT says whether a session that came from a JWT may call an operation.
type JWT string

// The answers. A PAT's and a password's session may call them all.
const (
	JWTRefused       JWT = "no"
	JWTUnifiedAccess JWT = "uat"  // only a unified access token's
	JWTAccepted      JWT = "yes"  // a Connected App's too
	JWTNotNeeded     JWT = "open" // the operation needs no session at all
)

// A Danger is why an operation does not fit a proxy whose sessions are shared.
type Danger string

// The dangers.
const (
	Harmless        Danger = ""
	BreaksSession   Danger = "breaks-session"   // ends or replaces the session that it is called with
	EndsSessions    Danger = "ends-sessions"    // ends other sessions, or takes away what opens them
	ReturnsSecret   Danger = "returns-secret"   // the answer holds something that works at Tableau, or elsewhere
	ChangesIdentity Danger = "changes-identity" // changes who can sign in, as whom, or with whose credentials
)

// Operations returns all operations in the order of the catalog: those of a
// resource stand together.
func Operations() iter.Seq[*Operation] {
	return func(yield func(*Operation) bool) {
		for _, op := range catalog().operations {
			if !yield(op) {
				return
			}
		}
	}
}

// OperationByName returns the operation that has the name or alias.
func OperationByName(name string) (*Operation, bool) {
	op, ok := catalog().names[name]
	return op, ok
}
