package panel

import (
	"github.com/waypost/waypost/internal/panel/view"
	"github.com/waypost/waypost/internal/waypost"
)

func (p *panel) productsRoutes() []page {
	return []page{
		{"GET /platform/products", platformRead, p.productsPage},
		{"POST /platform/products", ownerOnly, p.saveProducts},
	}
}

// gateways are the columns of the table.
func gateways() []waypost.GatewayType {
	return []waypost.GatewayType{waypost.GatewayBuiltin, waypost.GatewaySMTP}
}

func (p *panel) productsPage(q *request) error {
	list, err := p.System.Entitlements(q.Context())
	if err != nil {
		return err
	}
	return p.showProducts(q, list, nil)
}

func (p *panel) showProducts(q *request, list []waypost.Entitlement, w *wrong) error {
	type place struct {
		product waypost.Product
		gateway waypost.GatewayType
	}
	is := map[place]waypost.Entitlement{}
	for _, e := range list {
		is[place{e.Product, e.Gateway}] = e
	}
	v := view.Products{Write: ownerOnly.allows(q.session), Problem: w.text("")}
	for _, g := range gateways() {
		v.Gateways = append(v.Gateways, q.Label("operator_gateway", string(g)))
	}
	for _, product := range waypost.Products() {
		name := q.Label("product", string(product))
		row := view.ProductRow{Label: name, InitialLabel: q.T("products.no_initial")}
		row.Initial = view.Field{
			Name: "initial_" + string(product), Label: q.T("products.initial_of", "Product", name), Error: w.text(string(product)),
			Options: []view.Option{{Label: q.T("products.no_initial")}},
		}
		for i, g := range gateways() {
			e := is[place{product, g}]
			row.Allowed = append(row.Allowed, view.ProductGateway{
				Field: allowedField(product, g), Label: q.T("products.includes", "Product", name, "Gateway", v.Gateways[i]), Allowed: e.Allowed,
			})
			row.Initial.Options = append(row.Initial.Options, view.Option{Value: string(g), Label: v.Gateways[i]})
			if e.Initial {
				row.Initial.Value, row.InitialLabel = string(g), v.Gateways[i]
			}
		}
		v.Rows = append(v.Rows, row)
	}
	title := q.T("products.title")
	return q.showStatus(w.code(), title, view.ProductsPage(q.frame(title), v))
}

func allowedField(product waypost.Product, g waypost.GatewayType) string {
	return "allowed_" + string(product) + "_" + string(g)
}

func (p *panel) saveProducts(q *request) error {
	var list []waypost.Entitlement
	for _, product := range waypost.Products() {
		for _, g := range gateways() {
			list = append(list, waypost.Entitlement{
				Product: product, Gateway: g, Allowed: q.value(allowedField(product, g)) == "true", Initial: q.value("initial_"+string(product)) == string(g),
			})
		}
	}
	if len(q.PostForm) == 0 { // nothing was sent: nothing is taken away from anybody
		return p.productsPage(q)
	}
	if err := p.System.SaveEntitlements(q.Context(), q.by(), list); err != nil {
		fields := make([]string, 0, len(waypost.Products()))
		for _, product := range waypost.Products() {
			fields = append(fields, string(product))
		}
		w, err := q.wrong(err, fields...)
		if err != nil {
			return err
		}
		return p.showProducts(q, list, w)
	}
	return q.redirect("/platform/products", "entitlements_saved")
}
