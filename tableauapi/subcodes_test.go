package tableauapi

import (
	"strings"
	"testing"
)

func TestSubCode(t *testing.T) {
	tests := []struct {
		code, detail string
		want         SubCode
		ok           bool
	}{
		{"401001", "Error signing in to Tableau Server (16)", 16, true},
		{"401001", "TableauErrorCode::3F8E8553 failed (x) (10084).\n", 10084, true},
		{"401001", "(5)", 5, true},
		{"401001", "Error signing in", 0, false},
		{"401001", "(16) Error", 0, false},
		{"401001", "Error (sixteen)", 0, false},
		{"401001", "Error ()", 0, false},
		{"401001", "Error (-5)", 0, false},
		{"401001", "Error (0)", 0, false},
		{"401001", "Error 16)", 0, false},
		{"401001", "Error (12345678901234567890)", 0, false},
		{"401001", "", 0, false},
		{"401002", "Invalid (16)", 0, false},
	}
	for _, tt := range tests {
		got, ok := (&Error{Code: tt.code, Detail: tt.detail}).SubCode()
		if got != tt.want || ok != tt.ok {
			t.Errorf("%s %q: got %d %t, want %d %t", tt.code, tt.detail, got, ok, tt.want, tt.ok)
		}
	}
}

func TestSubCodesAreExplained(t *testing.T) {
	names := map[SubCode]string{
		5: "SYSTEM_USER_NOT_FOUND", 16: "LOGIN_FAILED", 67: "FEATURE_NOT_ENABLED",
		126: "CONNECTED_APP_NOT_FOUND", 127: "CONNECTED_APP_SECRET_NOT_FOUND",
		128: "CONNECTED_APP_SECRET_LIMIT_EXCEEDED", 133: "INVALID_CONNECTED_APP_DOMAIN_SAFELIST",
		10081: "COULD_NOT_RETRIEVE_IDP_METADATA", 10082: "AUTHORIZATION_SERVER_ISSUER_NOT_SPECIFIED",
		10083: "BAD_JWT", 10084: "JWT_PARSE_ERROR", 10085: "COULD_NOT_FETCH_JWT_KEYS",
		10087: "BLOCKLISTED_JWS_ALGORITHM_USED_TO_SIGN", 10088: "RSA_KEY_SIZE_INVALID",
		10089: "CONNECTED_APP_NOT_FOUND", 10090: "CONNECTED_APP_DISABLED", 10091: "JTI_ALREADY_USED",
		10099: "",
	}
	for code, name := range names {
		if code.Name() != name {
			t.Errorf("%d: name %q, want %q", code, code.Name(), name)
		}
		meaning, fix := code.Explain()
		if meaning == "" || fix == "" || strings.HasSuffix(meaning, ".") || strings.HasSuffix(fix, ".") {
			t.Errorf("%d: %q, %q", code, meaning, fix)
		}
	}
	if len(names) != len(subCodes) {
		t.Errorf("%d sub-codes are known, %d are tested", len(subCodes), len(names))
	}
	if meaning, fix := SubCode(4711).Explain(); meaning != "" || fix != "" || SubCode(4711).Name() != "" {
		t.Error("an unknown sub-code is explained")
	}
}

func TestSubCodePermanent(t *testing.T) {
	for code, want := range map[SubCode]bool{5: true, 126: true, 127: true, 10090: true, 10099: true, 10081: false, 10085: false, 10091: false, 4711: false} {
		if code.Permanent() != want {
			t.Errorf("%d: got %t", code, !want)
		}
	}
}
