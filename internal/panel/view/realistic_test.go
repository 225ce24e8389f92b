package view_test

import "strings"

// realisticText gives what a field has on an ordinary day: as realistic says, else its name.
// The second row has what stands behind "|".
func realisticText() func(of string, i int) string {
	known := realistic()
	var text func(of string) string
	text = func(of string) string {
		owner, name := of[:max(0, strings.LastIndexByte(of, '.'))], of[strings.LastIndexByte(of, '.')+1:]
		ofForm := strings.Contains(owner, ".") // of a field of a form
		if t, ok := known[of]; ok {
			return t
		}
		if t, ok := known[name]; ok && !ofForm {
			return t
		}
		switch {
		case ofForm && name == "Name":
			return snake(owner)
		case ofForm && name == "Label":
			return words(owner)
		case ofForm && name == "Value":
			return text(owner)
		case ofForm && known[name] != "":
			return known[name]
		}
		return words(name)
	}
	return func(of string, i int) string {
		first, second, more := strings.Cut(text(of), "|")
		if more && i == 1 {
			return second
		}
		return first
	}
}

// realistic are values by field, with its struct where that matters.
func realistic() map[string]string {
	return map[string]string{
		"Page.Path": "/overview", "Page.Theme": "auto", "Brand.Name": "Fleetmail", "Brand.Logo": "/logo.svg", "Brand.Color": "#1d4ed8", "Brand.HelpURL": "https://help.example.net/",
		"Acting": "Acme", "User": "ann", "Flash": "Saved.", "Section.Title": "Mail|Settings", "Link.Path": "/overview|/messages", "Link.Label": "Overview|Messages",

		"Type": "text", "Auto": "off", "Mode": "text", "Hint": "What it is for.", "Error": "That is not possible.", "Option.Value": "one|two", "Option.Label": "One|Two",
		"Option.Hint": "The first choice.|The second choice.", "Option.Fill": `{"port":"587"}|{"port":"25"}`,

		"ID": "0198a3c1|0198a3c2", "OperatorID": "0198a3d1|0198a3d2", "ParentID": "0198a3d3", "Login": "ann|bob", "Name": "Ann Smith|Bob Jones", "Email": "ann@acme.example|bob@acme.example",
		"NameField": "Ann Smith", "EmailField": "ann@acme.example", "RoleField": "one",
		"Role": "Administrator|Viewer", "Operator": "Acme|Bolt", "ParentName": "Holding", "OperatorName": "Acme", "Parent": "0198a3d3", "Person": "Ann Smith", "Who": "ann|bob", "By": "ann",
		"Peer": "192.0.2.7|2001:db8::7", "Browser": "Firefox, Linux|Safari, iOS", "Zones": "Europe/Madrid|UTC", "Domain": "shop.example", "Unicode": "tienda.example", "Host": "smtp.example.net",

		"First": "/first", "Next": "/next", "FirstKey": "/platform/requests", "NextKey": "/platform/requests?key=2", "Continue": "/messages?cursor=2", "CSV": "/messages.csv",
		"Path": "/messages/1|/messages/2", "OperatorPath": "/platform/users?operator=1|/platform/users?operator=2", "Base": "/mailbox", "Back": "/team", "Action": "/team/new", "Poll": "/poll",
		"New": "/platform/users/new", "NewStaff": "/platform/users/new?staff=1", "Boxed.Message": "/messages/1", "Frame": "/messages/1/preview", "Raw": "/messages/1/raw",
		"Fix": "/settings/email", "More": "and 3 more", "TroubleList.More": "/platform/operators?trouble=failing", "Attention.Link": "See to it", "Handed.Link": "https://mail.example.net/invite/abc",
		"Letter.Link": "https://mail.example.net/reset/abc", "LinkForm.URL": "https://mail.example.net/dns/abc", "Docs": "https://docs.example.net/smtp", "Image": "data:image/svg+xml;base64,AA==",
		"URI": "otpauth://totp/Fleetmail:ann?secret=ABCDEFGH", "File": "data:text/plain;charset=utf-8,aaaa-bbbb", "Secret": "ABCDEFGHIJKLMNOP", "Codes": "aaaa-bbbb-cccc-dddd|eeee-ffff-gggg-hhhh",

		"State": "queued|bounced", "Kind": "info|warning", "MessageRow.Kind": "Invoice|Alarm", "Key.Kind": "Invoice", "DestinationRow.Kind": "Own server|Built-in", "State.Label": "Queued|Bounced",
		"Part.Label": "Queued|Bounced", "StateLabel": "Active|Invited", "Figure.Label": "Accepted|Bounced", "Figure.Value": "1,234|5", "Verdict": "wrong|missing", "Record.Label": "Wrong|Missing",
		"Level": "error|note", "Health.State": "ok|failing", "Health.Value": "Good|Bad", "NodeRow.State": "ok|failing", "NodeRow.Name": "node-1|node-2", "Period": "7d", "Class": "ok|bad",
		"Action.Name": "retry|cancel", "Action.Label": "Try now|Cancel", "Action.Class": "btn-primary|", "SetupStep.Name": "operator|admin", "Step.State": "done|now", "Step.Number": "1|2",

		"To": "Zoë <zoe@example.org>|bob@example.org", "From": "Shop <news@shop.example>|", "Address": "news@shop.example|*@shop.example", "Subject": "Your order 1234|Ihre Bestellung",
		"At": "Mar 4, 2026 3:06 PM|Mar 3, 2026 9:00 AM", "When": "Mar 4, 2026 3:06 PM", "Since": "Mar 4, 2026", "Expires": "Mar 7, 2026", "Checked": "Checked at 3:06 PM.", "Size": "12 KiB|1.2 MiB",
		"Reply": "250 2.0.0 Ok: queued as 4Fxyz|550 5.1.1 No such user", "Words": "451 4.7.1 Try again later", "Quote": "421 4.3.2 Service not available", "Reason": "535 5.7.8 Authentication failed",
		"Detail": "mx.example.org [192.0.2.25]:25", "Phase": "Connection|Login", "Took": "3 ms|1.2 s", "Short": "Try again later", "Wait": "Its next try|The other side", "TLS": "TLS 1.3",
		"SPF": "pass", "DKIM": "pass", "DMARC": "fail", "Results": "mx.example.net; spf=pass smtp.mailfrom=shop.example; dkim=pass", "Servers": "ns2.example.net has not got it yet.",
		"Record.Type": "TXT|CNAME", "Record.Name": "_dmarc.shop.example|wp1._domainkey.shop.example", "Record.Short": "_dmarc|wp1._domainkey", "Record.Value": "v=DMARC1; p=none|wp1.dkim.example.net.",
		"Found": "_dmarc.shop.example. 300 IN TXT \"v=DMARC1\"|_dmarc.shop.example. 300 IN TXT \"x\"", "Zone": "_dmarc 3600 IN TXT \"v=DMARC1; p=none\"\n", "Right": "3 of 4 records",
		"Original": "the record has no tag p", "Signing": "wp1", "Other": "wp2", "Scopes": "Send mail|See messages", "Networks": "192.0.2.0/24|2001:db8::/32", "Curl": "curl https://mail.example.net/v1/messages",
		"SMTP": "curl smtps://mail.example.net", "NewKey.Key": "wp_live_abcdef", "Resend.Key": "0198a3e1", "Key.Name": "Shop|", "Key.Hint": "wp_live_ab|wp_test_cd", "Lang": "en",
		"MailFile.Name": "Rechnung März.pdf|photo.jpg", "MailFile.Type": "application/pdf|image/jpeg", "Tab.Label": "Formatted|Text", "Tab.Path": "/messages/1?view=html|/messages/1?view=text",
		"Field": "password", "FieldLabel": "Password", "Ports": "465|2525", "Hosts": "eu.smtp.example.net", "Port": "587", "Every": "5s", "Refresh": "60", "Settings": "WAYPOST_PLATFORM_DOMAIN=mail.example.net\n",
		"ResetCommand": "waypost user reset --login bob", "Site": "mx.example.org|mx.example.com", "Lane": "Normal|Alarm", "Rate": "60 per minute", "Sessions": "3 of 20", "Waiting": "1,234|5", "Queued": "1,234|5",
		"Held": "12|0", "Oldest": "2 h ago|1 min ago", "Source": "Hello,\n\nyour order is on its way.\n", "ChartRow.Label": "Mar 4|Mar 5", "ChartRow.Title": "Mar 4, 2026|Mar 5, 2026", "Product": "cloud|campus",
	}
}
