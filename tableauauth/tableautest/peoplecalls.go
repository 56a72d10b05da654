// This file serves users, groups and personal access tokens.

package tableautest

import "slices"

// groups are those of every site; the second has the administrators.
var groups = []string{"All Users", "Administrators"}

// node describes a user.
func (x *exchange) userNode(u User) *node {
	return el("user", at("id", UserLUID(x.site.ContentURL, u.Name)), at("name", u.Name), at("fullName", u.FullName),
		at("email", u.Email), at("siteRole", u.SiteRole), at("authSetting", "ServerDefault"), at("locale", "en_US"),
		at("lastLogin", timestamp(contentEpoch)), at("externalAuthUserId", "")).
		add(el("domain", at("name", "local")))
}

func (x *exchange) userNodes(users []User) []*node {
	nodes := make([]*node, 0, len(users))
	for _, u := range users {
		nodes = append(nodes, x.userNode(u))
	}
	return nodes
}

func (x *exchange) queryUsers() (answer, *apiError) {
	if !x.user.siteAdmin() {
		return answer{}, forbidden("only for administrators")
	}
	return x.list("users", x.userNodes(x.t.accounts.usersOf(x.site.ContentURL)))
}

// named is the user in the path: oneself, or anybody for an administrator.
func (x *exchange) named() (User, *apiError) {
	id := x.params["user"]
	if id == UserLUID(x.site.ContentURL, x.user.Name) {
		return x.user, nil
	}
	if !x.user.siteAdmin() {
		return User{}, forbidden("only for oneself or as an administrator")
	}
	u, ok := x.t.accounts.userByLUID(x.site.ContentURL, id)
	if !ok {
		return User{}, notFound(codeUserNotFound, "User")
	}
	return u, nil
}

func (x *exchange) queryUser() (answer, *apiError) {
	u, err := x.named()
	if err != nil {
		return answer{}, err
	}
	return ok(x.userNode(u))
}

func (x *exchange) queryUserWorkbooks() (answer, *apiError) {
	u, err := x.named()
	if err != nil {
		return answer{}, err
	}
	return x.list("workbooks", itemNodes(x.t.content.visible(kindWorkbook, x.site.ContentURL, u)))
}

func (x *exchange) groupNode(name string) *node {
	return el("group", at("id", GroupLUID(x.site.ContentURL, name)), at("name", name)).add(el("domain", at("name", "local")))
}

func (x *exchange) groupNodes(names []string) []*node {
	nodes := make([]*node, 0, len(names))
	for _, name := range names {
		nodes = append(nodes, x.groupNode(name))
	}
	return nodes
}

func (x *exchange) queryGroups() (answer, *apiError) { return x.list("groups", x.groupNodes(groups)) }

func (x *exchange) queryUserGroups() (answer, *apiError) {
	u, err := x.named()
	if err != nil {
		return answer{}, err
	}
	member := groups[:1]
	if u.siteAdmin() {
		member = groups
	}
	return x.list("groups", x.groupNodes(member))
}

func (x *exchange) queryGroupUsers() (answer, *apiError) {
	i := slices.IndexFunc(groups, func(name string) bool { return GroupLUID(x.site.ContentURL, name) == x.params["group"] })
	if i < 0 {
		return answer{}, notFound(codeGroupNotFound, "Group")
	}
	if !x.user.siteAdmin() {
		return answer{}, forbidden("only for administrators")
	}
	users := x.t.accounts.usersOf(x.site.ContentURL)
	if i == 1 {
		users = slices.DeleteFunc(users, func(u User) bool { return !u.siteAdmin() })
	}
	return x.list("users", x.userNodes(users))
}

func (x *exchange) listPATs() (answer, *apiError) {
	u, err := x.named()
	if err != nil {
		return answer{}, err
	}
	var nodes []*node
	for _, p := range x.t.PATs(u.Name) {
		nodes = append(nodes, el("personalAccessToken", at("name", p.Name), at("guid", luid("pat", p.Name)),
			at("expiresAt", timestamp(p.Expires))))
	}
	return x.list("personalAccessTokens", nodes)
}

func (x *exchange) revokePAT() (answer, *apiError) {
	u, err := x.named()
	if err != nil {
		return answer{}, err
	}
	own := func(p PAT) bool { return p.Name == x.params["pat"] }
	if !slices.ContainsFunc(x.t.PATs(u.Name), own) || x.t.RevokePAT(x.params["pat"]) != nil {
		return answer{}, notFound(codeObjectNotFound, "Personal access token")
	}
	return noContent, nil
}
