package panel

import "slices"

// routes has every page. Who may use it stands beside it; a test asks every one of them
// as every role and for another operator.
func (p *panel) routes() []page {
	return slices.Concat(
		p.messagesRoutes(), p.suppressionsRoutes(), p.mailboxRoutes(),
		p.overviewRoutes(), p.platformRoutes(), p.operatorsRoutes(), p.productsRoutes(), p.platformSettingsRoutes(), p.queueRoutes(), p.nodesRoutes(),
		p.signInRoutes(), p.linkRoutes(), p.firstRoutes(), p.accountRoutes(),
		p.teamRoutes(), p.userRoutes(), p.keyRoutes(), p.auditRoutes(),
		p.emailRoutes(), p.webhooksRoutes(), p.unsubscribeRoutes(),
		p.domainsRoutes(), p.sendersRoutes(), p.requestsRoutes(), p.dnsRoutes(),
	)
}

func (p *panel) signInRoutes() []page {
	return []page{
		{"GET /{$}", anybody, p.start},

		{"GET /sign-in", anybody, p.signInForm},
		{"POST /sign-in", anybody, p.signIn},
		{"GET /sign-in/code", anybody, p.codeForm},
		{"POST /sign-in/code", anybody, p.signInCode},
		{"POST /sign-out", anybody, p.signOut},
	}
}
