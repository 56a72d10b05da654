package tableauapi

import (
	"strings"
	"testing"
)

func TestDecodeCurrentSession(t *testing.T) {
	full := CurrentSession{SiteID: siteLUID, SiteName: "My Site", ContentURL: "mysite", UserID: userLUID, UserName: "alice@example.com"}
	bare := CurrentSession{SiteID: siteLUID, SiteName: "My Site", UserID: userLUID, UserName: "alice@example.com"}
	for name, tt := range map[string]struct {
		body string
		want CurrentSession
	}{
		"JSON":                    {`{"session":{"site":{"id":"` + siteLUID + `","name":"My Site","contentUrl":"mysite","extractEncryptionMode":"disabled"},"user":{"id":"` + userLUID + `","name":"alice@example.com","siteRole":"Creator","domain":{"name":"local"},"language":null,"tags":[]}}}`, full},
		"JSON without contentUrl": {`{"session":{"site":{"id":"` + siteLUID + `","name":"My Site"},"user":{"id":"` + userLUID + `","name":"alice@example.com"}}}`, bare},
		"XML":                     {`<?xml version='1.0' encoding='UTF-8'?><tsResponse xmlns="http://tableau.com/api"><session><site id="` + siteLUID + `" name="My Site" contentUrl="mysite"/><user id="` + userLUID + `" name="alice@example.com" siteRole="ServerAdministrator"><domain name="local"/></user></session></tsResponse>`, full},
	} {
		got, err := DecodeCurrentSession([]byte(tt.body))
		if err != nil || got != tt.want {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
}

func TestDecodeCurrentSessionRefuses(t *testing.T) {
	for body, want := range map[string]string{
		`{"sessions":{}}`: "no session in it",
		`{"session":{"user":{"id":"` + userLUID + `"}}}`:                   "ID of the site is missing",
		`{"session":{"site":{"id":"` + siteLUID + `"}}}`:                   "ID of the user is missing",
		`{"session":{"site":{"id":"x"},"user":{"id":"` + userLUID + `"}}}`: "ID of the site is no LUID",
		`{"session":{"site":[],"user":{"id":"` + userLUID + `"}}}`:         "site has the wrong type",
		`{"error":{"code":"401002","summary":"s","detail":"d"}}`:           "no session in it",
		`<html/>`: "not Tableau's",
	} {
		got, err := DecodeCurrentSession([]byte(body))
		if err == nil || got != (CurrentSession{}) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %+v, %v", body, got, err)
		}
	}
}

func TestDecodeServerInfo(t *testing.T) {
	for name, tt := range map[string]struct {
		body string
		want ServerInfo
	}{
		"XML": {
			`<?xml version='1.0' encoding='UTF-8'?><tsResponse xmlns="http://tableau.com/api"><serverInfo><productVersion build="20253.25.1113.1234">2025.3.0</productVersion><restApiVersion>3.27</restApiVersion></serverInfo></tsResponse>`,
			ServerInfo{"2025.3.0", "20253.25.1113.1234", "3.27"},
		},
		"XML of 10.1": {
			`<tsResponse xmlns="http://tableau.com/api"><serverInfo><productVersion build="10100.16.1024.2100">10.1.0</productVersion><restApiVersion>2.4</restApiVersion></serverInfo></tsResponse>`,
			ServerInfo{"10.1.0", "10100.16.1024.2100", "2.4"},
		},
		"JSON": {
			`{"serverInfo":{"productVersion":{"value":"2025.3.0","build":"20253.25.1113.1234"},"prepConductorVersion":"x","restApiVersion":"3.27"}}`,
			ServerInfo{"2025.3.0", "20253.25.1113.1234", "3.27"},
		},
		"only what is needed":     {`{"serverInfo":{"restApiVersion":"3.27"}}`, ServerInfo{RESTAPIVersion: "3.27"}},
		"product version as text": {`{"serverInfo":{"productVersion":"2025.3","restApiVersion":"3.27"}}`, ServerInfo{ProductVersion: "2025.3", RESTAPIVersion: "3.27"}},
	} {
		got, err := DecodeServerInfo([]byte(tt.body))
		if err != nil || got != tt.want {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
}

func TestDecodeServerInfoRefuses(t *testing.T) {
	for body, want := range map[string]string{
		`{"info":{}}`:       "no version",
		`{"serverInfo":{}}`: "no version",
		`{"serverInfo":{"restApiVersion":"../.."}}`:                                   "no version",
		`{"serverInfo":{"restApiVersion":"3"}}`:                                       "no version",
		`{"serverInfo":{"restApiVersion":"3.1234"}}`:                                  "no version",
		`{"serverInfo":{"restApiVersion":3.27}}`:                                      "restApiVersion has the wrong type",
		`{"serverInfo":{"productVersion":[],"restApiVersion":"3.27"}}`:                "productVersion has the wrong type",
		`{"serverInfo":{"productVersion":{"value":{"a":1}},"restApiVersion":"3.27"}}`: "value has the wrong type",
		`<!DOCTYPE html><html></html>`:                                                "DTD",
	} {
		got, err := DecodeServerInfo([]byte(body))
		if err == nil || got != (ServerInfo{}) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %+v, %v", body, got, err)
		}
	}
}
