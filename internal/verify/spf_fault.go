package verify

// SPFFault is what is wrong with a term of an SPF record, "" for nothing.
type SPFFault string

// The faults.
const (
	faultSeparator SPFFault = "separator"
	faultControl   SPFFault = "control"
	faultNotASCII  SPFFault = "not_ascii"
	faultAllMore   SPFFault = "all_more"
	faultNothing   SPFFault = "nothing"
	faultIPv4      SPFFault = "not_ipv4"
	faultIPv6      SPFFault = "not_ipv6"
	faultLength4   SPFFault = "length_ipv4"
	faultLength6   SPFFault = "length_ipv6"
	faultLength    SPFFault = "length"
	faultMechanism SPFFault = "mechanism"
	faultNoName    SPFFault = "no_name"
	faultMacroHere SPFFault = "macro_here"
	faultNotFull   SPFFault = "not_full"
	faultAddress   SPFFault = "address"
	faultNotName   SPFFault = "not_name"
	faultPercent   SPFFault = "percent"
	faultMacro     SPFFault = "macro"
	faultTwice     SPFFault = "twice"
)

// String says it in a few words.
func (f SPFFault) String() string {
	return map[SPFFault]string{
		faultSeparator: "terms are separated by spaces, not by tabs or line breaks",
		faultControl:   "a control character",
		faultNotASCII:  "a character that is not ASCII",
		faultAllMore:   "all takes nothing behind it",
		faultNothing:   "nothing follows the colon",
		faultIPv4:      "not an IPv4 address",
		faultIPv6:      "not an IPv6 address",
		faultLength4:   "not a prefix length from /0 to /32",
		faultLength6:   "not a prefix length from /0 to /128",
		faultLength:    "not a prefix length: /0 to /32 for IPv4, //0 to //128 for IPv6",
		faultMechanism: "there is no such mechanism",
		faultNoName:    "a domain name is missing",
		faultMacroHere: "the macros %{c}, %{r} and %{t} are not allowed here",
		faultNotFull:   "not a full domain name",
		faultAddress:   "an address where a domain name belongs",
		faultNotName:   "not a domain name",
		faultPercent:   "a single %",
		faultMacro:     "not a macro",
		faultTwice:     "this may stand in a record only once",
	}[f]
}
