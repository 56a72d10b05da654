package tableauapi

// The tests of this file throw hostile bodies at all decoders alike.

import (
	"fmt"
	"strings"
	"testing"
)

// decoders are all decoders, with an element that each accepts.
var decoders = map[string]struct {
	root   string
	decode func([]byte) error
	xml    string
	json   string
}{
	"credentials": {
		"tsRequest", func(b []byte) error { _, err := DecodeCredentials(b); return err },
		`<credentials jwt="` + canary + `"/>`, `"credentials":{"jwt":"` + canary + `"}`,
	},
	"switch site": {
		"tsRequest", func(b []byte) error { _, err := DecodeSwitchSite(b); return err },
		`<site contentUrl="` + canary + `"/>`, `"site":{"contentUrl":"` + canary + `"}`,
	},
	"sign-in answer": {
		"tsResponse", func(b []byte) error { _, err := DecodeSignInAnswer(b); return err },
		`<credentials token="` + canary + `"><site id="` + siteLUID + `" contentUrl=""/><user id="` + userLUID + `"/></credentials>`,
		`"credentials":{"token":"` + canary + `","site":{"id":"` + siteLUID + `"},"user":{"id":"` + userLUID + `"}}`,
	},
	"session": {
		"tsResponse", func(b []byte) error { _, err := DecodeCurrentSession(b); return err },
		`<session><site id="` + siteLUID + `"/><user id="` + userLUID + `" name="` + canary + `"/></session>`,
		`"session":{"site":{"id":"` + siteLUID + `"},"user":{"id":"` + userLUID + `","name":"` + canary + `"}}`,
	},
	"server info": {
		"tsResponse", func(b []byte) error { _, err := DecodeServerInfo(b); return err },
		`<serverInfo><productVersion build="` + canary + `">1</productVersion><restApiVersion>3.27</restApiVersion></serverInfo>`,
		`"serverInfo":{"productVersion":{"value":"1","build":"` + canary + `"},"restApiVersion":"3.27"}`,
	},
	"error": {
		"tsResponse", func(b []byte) error {
			if _, ok := DecodeError(b); !ok {
				return fmt.Errorf("no error of Tableau's")
			}
			return nil
		},
		`<error code="401001"><summary>s</summary><detail>` + canary + `</detail></error>`,
		`"error":{"code":"401001","summary":"s","detail":"` + canary + `"}`,
	},
}

// wrap returns a function that puts what it is given around an element.
func wrap(root string) func(before, inside, after string) string {
	return func(before, inside, after string) string {
		return before + `<` + root + ` xmlns="http://tableau.com/api">` + inside + `</` + root + `>` + after
	}
}

func TestDecodersAccept(t *testing.T) {
	for name, d := range decoders {
		w := wrap(d.root)
		for what, body := range map[string]string{
			"XML":                   w("", d.xml, ""),
			"a declaration":         w(`<?xml version="1.0" encoding="utf-8"?>`, d.xml, ""),
			"space around":          w("\r\n ", d.xml, "\n\n"),
			"a comment":             w("<!-- a -->", "<!-- b -->"+d.xml, "<!-- c -->"),
			"elements it skips":     w("", `<x y="z"><x/><x/></x>`+d.xml, ""),
			"attributes it skips":   strings.Replace(w("", d.xml, ""), " xmlns=", ` xmlns:a="urn:a" a:x="1" x="1" xmlns=`, 1),
			"character references":  strings.ReplaceAll(w("", d.xml, ""), "c4n4ry", "&#99;&#x34;n4ry"),
			"a prefix":              prefixed(d.root, d.xml),
			"JSON":                  "{" + d.json + "}",
			"JSON, spaced":          "\n{ " + d.json + " }\r\n",
			"JSON, escaped":         "{" + strings.ReplaceAll(d.json, "c4n4ry", `\u0063\u0034n4ry`) + "}",
			"members it skips":      `{"x":{"y":[{},[],{"z":null}]},"n":-1.5e300,` + d.json + "}",
			"JSON behind a mark":    "\ufeff{" + d.json + "}",
			"XML behind a mark":     "\ufeff" + w(`<?xml version="1.0"?>`, d.xml, ""),
			"as large as it may be": "{" + d.json + strings.Repeat(" ", maxBody-2-len(d.json)) + "}",
		} {
			if err := d.decode([]byte(body)); err != nil {
				t.Errorf("%s, %s: %v\n%.200s", name, what, err, body)
			}
		}
	}
}

func prefixed(root, inside string) string {
	inside = strings.ReplaceAll(inside, "</", "\x00")
	inside = strings.ReplaceAll(inside, "<", "<t:")
	inside = strings.ReplaceAll(inside, "\x00", "</t:")
	return `<t:` + root + ` xmlns:t="http://tableau.com/api">` + inside + `</t:` + root + `>`
}

func TestDecodersRefuse(t *testing.T) {
	const bomb = `<!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY lol2 "&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;">]>`
	const external = `<!DOCTYPE r [<!ENTITY xxe SYSTEM "file:///etc/passwd">]>`
	for name, d := range decoders {
		w := wrap(d.root)
		good := w("", d.xml, "")
		for what, body := range map[string]string{
			"empty":                    "",
			"over 64 KiB, XML":         w("", d.xml, strings.Repeat(" ", maxBody)),
			"over 64 KiB, JSON":        "{" + d.json + "}" + strings.Repeat(" ", maxBody),
			"cut off XML":              good[:len(good)-3],
			"cut off in the middle":    good[:len(good)/2],
			"cut off JSON":             "{" + d.json,
			"cut off JSON text":        "{" + d.json[:len(d.json)-3],
			"deep XML":                 w("", d.xml+strings.Repeat("<x>", 40)+strings.Repeat("</x>", 40), ""),
			"deep XML, never shut":     w("", d.xml+strings.Repeat("<x>", 10000), ""),
			"deep JSON":                "{" + d.json + `,"x":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + "}",
			"deep JSON, never shut":    "{" + d.json + `,"x":` + strings.Repeat(`{"x":`, 10000),
			"an entity bomb":           w(bomb, d.xml+"&lol2;", ""),
			"an external entity":       w(external, d.xml+"&xxe;", ""),
			"a bare DTD":               w("<!DOCTYPE x>", d.xml, ""),
			"a DTD inside":             w("", "<!DOCTYPE x>"+d.xml, ""),
			"an unknown entity":        w("", d.xml+"&"+canary+";", ""),
			"a bare ampersand":         strings.ReplaceAll(good, canary, "a&"+canary),
			"a processing instruction": w("<?php "+canary+"?>", d.xml, ""),
			"a second declaration":     w("", `<?xml version="1.0"?>`+d.xml, ""),
			"a late declaration":       w(`<!-- --><?xml version="1.0"?>`, d.xml, ""),
			"XML 1.1":                  w(`<?xml version="1.1"?>`, d.xml, ""),
			"Latin-1":                  w(`<?xml version="1.0" encoding="ISO-8859-1"?>`, d.xml, ""),
			"UTF-16":                   "\xff\xfe<\x00?\x00",
			"invalid UTF-8 in XML":     strings.ReplaceAll(good, canary, "\xff"),
			"invalid UTF-8 in JSON":    "{" + strings.ReplaceAll(d.json, canary, "\xc0\xaf") + "}",
			"a NUL in XML":             strings.ReplaceAll(good, canary, "\x00"),
			"a referenced NUL":         strings.ReplaceAll(good, canary, "&#0;"),
			"a raw newline in JSON":    "{" + strings.ReplaceAll(d.json, canary, "\n") + "}",
			"an attribute twice":       w("", strings.Replace(d.xml, `="`, `="x" `+firstAttribute(d.xml)+`="`, 1), ""),
			"an unknown attribute twice, by namespace": strings.Replace(good, " xmlns=",
				` xmlns:a="urn:a" xmlns:b="urn:a" a:x="1" b:x="2" xmlns=`, 1),
			"an element twice":        w("", d.xml+d.xml, ""),
			"two roots":               good + good,
			"text before":             "x" + good,
			"text behind":             good + "x",
			"JSON behind":             good + "{" + d.json + "}",
			"another root":            strings.ReplaceAll(good, d.root, "tsOther"),
			"another namespace":       strings.ReplaceAll(good, "tableau.com/api", "example.com/api"),
			"elements of another one": w("", inNamespace("urn:x", d.xml), ""),
			"tags that do not match":  w("", "<a></b>"+d.xml, ""),
			"an unquoted attribute":   w("", "<a b=c/>"+d.xml, ""),
			"too many attributes":     w("", "<a"+manyAttributes()+"/>"+d.xml, ""),
			"too many elements":       w("", strings.Repeat("<a/>", 300)+d.xml, ""),
			"a key twice":             "{" + d.json + "," + d.json + "}",
			"a key twice, escaped":    "{" + d.json + `,"\u0078":1,"x":2}`,
			"an inner key twice":      "{" + d.json + `,"x":[{"y":1,"y":1}]}`,
			"too many keys":           "{" + manyKeys() + d.json + "}",
			"two values":              "{" + d.json + "}{}",
			"data behind JSON":        "{" + d.json + "}]",
			"a trailing comma":        "{" + d.json + ",}",
			"a missing comma":         "{" + d.json + ` "x":1}`,
			"a comment in JSON":       "{/* */" + d.json + "}",
			"an unquoted key":         "{x:1," + d.json + "}",
			"single quotes":           "{" + strings.ReplaceAll(d.json, `"`, `'`) + "}",
			"a list around it":        "[{" + d.json + "}]",
			"NaN":                     `{"x":NaN,` + d.json + "}",
			"brackets that cross":     `{"x":[1},` + d.json + "}",
		} {
			err := d.decode([]byte(body))
			if err == nil {
				t.Errorf("%s, %s: accepted\n%.200s", name, what, body)
			} else if strings.Contains(err.Error(), canary) || strings.Contains(err.Error(), "c4n4ry") {
				t.Errorf("%s, %s: the error quotes a value: %v", name, what, err)
			}
		}
	}
}

// inNamespace puts an element and all in it into a namespace.
func inNamespace(space, element string) string {
	end := strings.IndexAny(element, " >/")
	return element[:end] + ` xmlns="` + space + `"` + element[end:]
}

func firstAttribute(element string) string {
	before, _, _ := strings.Cut(element, `="`)
	return before[strings.LastIndexAny(before, " ")+1:]
}

func manyAttributes() string {
	var b strings.Builder
	for i := range 300 {
		fmt.Fprintf(&b, ` xml:a%d=""`, i) // of a namespace, and so not kept
	}
	return b.String()
}

func manyKeys() string {
	var b strings.Builder
	for i := range 300 {
		fmt.Fprintf(&b, `"k%d":0,`, i)
	}
	return b.String()
}

func TestErrorsSayWhatIsWrong(t *testing.T) {
	for body, want := range map[string]string{
		strings.Repeat("{", maxBody+1):    "sign-in request: it is larger than 64 KiB",
		"{\xff}":                          "sign-in request: it is not UTF-8",
		"\n":                              "sign-in request: it is empty",
		"name=x":                          "sign-in request: it is neither XML nor JSON",
		"<tsRequest>":                     "sign-in request: it is XML that ends too early",
		"<tsRequest>\n</x>":               "sign-in request: it is not well-formed XML (line 2)",
		"<!-- -->":                        "sign-in request: it is XML, but not Tableau's: the root element or its namespace is another",
		"<tsRequest/>x":                   "sign-in request: there is something outside of its root element",
		"<tsRequest/><tsRequest/>":        "sign-in request: there is something outside of its root element",
		"<!DOCTYPE a><tsRequest/>":        "sign-in request: it has a DTD or another XML directive",
		"<?a b?><tsRequest/>":             "sign-in request: it has an XML processing instruction",
		`<?xml version="2.0"?><a/>`:       "sign-in request: it is XML of another version or encoding than 1.0 in UTF-8",
		strings.Repeat("<tsRequest>", 40): "sign-in request: it is nested deeper than 32 levels",
		`<tsRequest a="" a=""/>`:          "sign-in request: a name is there twice in one place",
		"{" + manyKeys() + "}":            "sign-in request: it has more than 256 members in one place",
		`{"a":1,"a":1}`:                   "sign-in request: a name is there twice in one place",
		`{"a"`:                            "sign-in request: it is JSON that ends too early",
		`{"a":b}`:                         "sign-in request: it is not well-formed JSON (near byte 5)",
		`{} {}`:                           "sign-in request: there is something behind its end",
		`{}`:                              "sign-in request: there are no credentials in it",
	} {
		_, err := DecodeCredentials([]byte(body))
		if err == nil || err.Error() != want {
			t.Errorf("%.30q:\n got %v\nwant %s", body, err, want)
		}
	}
}
