package view

// Products is the table of which gateways products include.
type Products struct {
	Gateways []string // names of the columns
	Rows     []ProductRow
	Problem  string
	Write    bool
}

// ProductRow is a product with a choice for each gateway.
type ProductRow struct {
	Label        string
	Allowed      []ProductGateway
	Initial      Field // a choice
	InitialLabel string
}

// ProductGateway says whether a product includes a gateway.
type ProductGateway struct {
	Field   string // name of the checkbox
	Label   string // for who cannot see the table
	Allowed bool
}
