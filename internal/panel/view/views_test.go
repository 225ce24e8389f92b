package view_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/a-h/templ"

	"github.com/waypost/waypost/internal/panel/view"
)

// views are all components that others may use, each with the ways to show it that its data
// does not lead to by being filled: a step that has a name, a mail that is shown as text.
// The first way is the one in the golden file of hostile data.
func views() map[string][]any {
	return map[string][]any{
		"AccountPage":  {view.AccountPage, func(v *view.Account) { v.TOTP, v.RecoveryLeft = true, 1 }},
		"TOTPPage":     {view.TOTPPage},
		"RecoveryPage": {view.RecoveryPage},
		"AuditPage":    {view.AuditPage},
		"ChartCard": {view.ChartCard, func(v *view.Chart) {
			v.Sum, v.Rows[0].Counts, v.Rows[1].Counts = counts(1234), counts(-1), counts(1235)
		}},
		"PlatformDNSPage": {
			view.PlatformDNSPage,
			func(v *view.PlatformDNS) { v.Sandbox, v.Rotation.Upstream, v.Rotation.Again = false, false, false },
			func(v *view.PlatformDNS) { v.Sandbox, v.Report = false, nil },
		},
		"PlatformReportPart": {view.PlatformReportPart},
		"DNSDocument":        {view.DNSDocument, func(*view.DNSPage) {}, func(v *view.DNSPage) { v.Domain = "" }},
		"OptOutDocument":     {view.OptOutDocument, func(*view.OptOut) {}, func(v *view.OptOut) { v.Action, v.Back, v.Test, v.Operator = "", "", "", "" }},
		"DomainPage":         {view.DomainPage, func(*view.Domain) {}, func(v *view.Domain) { v.Live.Every, v.Link.URL = "", "" }},
		"DomainLiveParts":    {view.DomainLiveParts},
		"DomainsPage":        {view.DomainsPage, func(v *view.Domains) { v.Sandbox = false }},
		"SenderPage":         {view.SenderPage},
		"EmailPage":          {view.EmailPage, func(v *view.Email) { v.Fields.Gateway.Value = "smtp" }},
		"EmailTestPage":      {view.EmailTestPage, func(v *view.EmailTest) { v.OK, v.Check.Waiting, v.Check.Missing = false, false, false }},
		"EmailTestPart": {
			view.EmailTestPart,
			func(v *view.EmailTest) { v.OK, v.Check.Waiting, v.Check.Missing = false, false, false },
			func(v *view.EmailTest) { v.Check.Waiting = false },
			func(v *view.EmailTest) { v.Receives, v.Check = false, nil },
		},
		"EmailTestRefused": {view.EmailTestRefused},
		"FirstForm":        {view.FirstForm},
		"SetupReminder":    {view.SetupReminder},
		"SetupPage": {
			view.SetupPage,
			func(v *view.Setup) { v.Steps = setupSteps(view.SetupStep{Open: true}) },
			func(v *view.Setup) { v.Steps, v.Sandbox = setupSteps(view.SetupStep{Done: true}), false },
			func(v *view.Setup) { v.Steps = setupSteps(view.SetupStep{Blocked: true}) },
		},
		"KeysPage":        {view.KeysPage, func(v *view.Keys) { v.Rows[0].Used, v.Rows[0].Revoked, v.Rows[1].Name = time.Time{}, time.Time{}, "" }},
		"KeyFormPage":     {view.KeyFormPage},
		"KeyCreatedPage":  {view.KeyCreatedPage},
		"Layout":          {view.Layout, func(*view.Page) {}, func(v *view.Page) { v.Brand.Logo = "" }, func(v *view.Page) { v.Nav = nil }},
		"Error":           {view.Error},
		"ErrorPart":       {view.ErrorPart},
		"LetterHTML":      {view.LetterHTML},
		"ForgotForm":      {view.ForgotForm},
		"ForgotSent":      {view.ForgotSent},
		"SetPasswordForm": {view.SetPasswordForm},
		"BadLinkPage":     {view.BadLinkPage},
		"MailboxPage":     {view.MailboxPage},
		"BoxedPage":       {view.BoxedPage, func(v *view.Boxed) { v.Mail.Frame = "" }},
		"MessagePage": {
			view.MessagePage,
			func(v *view.Message) { v.Mail.Frame = "" },
			func(v *view.Message) { v.Mail, v.Resend, v.Live.Deliveries[0].Actions[0].Ask = nil, nil, "" },
		},
		"MessageLivePart":     {view.MessageLivePart, func(*view.MessageLive) {}, func(v *view.MessageLive) { v.Path = "" }},
		"MessagesPage":        {view.MessagesPage, func(v *view.Messages) { v.Search.Wrong = false }, func(v *view.Messages) { v.Search.Wrong, v.Rows, v.Continue = false, nil, "" }},
		"NodesPage":           {view.NodesPage},
		"NodesPart":           {view.NodesPart},
		"OperatorsPage":       {view.OperatorsPage, func(*view.Operators) {}, func(v *view.Operators) { v.Rows = nil }},
		"OperatorFormPage":    {view.OperatorFormPage, func(v *view.OperatorForm) { v.ID = "" }},
		"OperatorPage":        {view.OperatorPage, func(v *view.Operator) { v.Platform, v.Suspended = false, false }, func(v *view.Operator) { v.Platform = false }},
		"DeleteOperatorPage":  {view.DeleteOperatorPage},
		"RemovedOperatorPage": {view.RemovedOperatorPage, func(*view.Removal) {}, func(v *view.Removal) { v.Finished = "" }},
		"OverviewPage":        {view.OverviewPage, func(v *view.Overview) { v.Empty = false }},
		"NowPart":             {view.NowPart},
		"Title":               {view.Title},
		"Input":               {view.Input},
		"Text":                {view.Text},
		"Select":              {view.Select},
		"Check":               {view.Check},
		"Radios":              {view.Radios},
		"Badge":               {view.Badge},
		"Copy":                {view.Copy},
		"Alert":               {view.Alert},
		"Empty":               {view.Empty},
		"Pager":               {view.Pager},
		"Confirm":             {view.Confirm},
		"Act":                 {view.Act},
		"Stat":                {view.Stat},
		"A":                   {view.A},
		"PeoplePage":          {view.PeoplePage},
		"InvitePage":          {view.InvitePage},
		"PersonView": {
			view.PersonView,
			func(v *view.PersonPage) { v.You, v.State, v.NoMail = false, "active", false },
			func(v *view.PersonPage) { v.You, v.State = false, "active" },
			func(v *view.PersonPage) { v.You, v.State, v.NoMail, v.Email = false, "active", false, "" },
			func(v *view.PersonPage) { v.You, v.State, v.Sessions = false, "invited", nil },
			func(v *view.PersonPage) { v.You, v.State = false, "disabled" },
		},
		"HandedPage":           {view.HandedPage},
		"PlatformPage":         {view.PlatformPage, func(v *view.PlatformOverview) { v.Empty = false }},
		"PlatformNowPart":      {view.PlatformNowPart},
		"ProductsPage":         {view.ProductsPage},
		"PlatformSettingsPage": {view.PlatformSettingsPage},
		"QueuePage":            {view.QueuePage},
		"QueueNowPart":         {view.QueueNowPart},
		"DeliveriesPage":       {view.DeliveriesPage},
		"RecordList":           {view.RecordList, func(*view.Records) {}, func(v *view.Records) { v.List[0].Verdict, v.List[0].Value, v.List[1].Found = "ok", "", nil }},
		"RequestsPage":         {view.RequestsPage},
		"RequestPage":          {view.RequestPage, func(*view.Request) {}, func(v *view.Request) { v.Receives = false }},
		"KeyPage":              {view.KeyPage},
		"SignInForm":           {view.SignInForm},
		"CodeForm":             {view.CodeForm},
		"SuppressionsPage":     {view.SuppressionsPage, func(*view.Suppressions) {}, func(v *view.Suppressions) { v.Rows = nil }},
		"WebhooksPage":         {view.WebhooksPage},
		"WebhookFormPage":      {view.WebhookFormPage},
		"WebhookSecretPage":    {view.WebhookSecretPage},
		"WebhookPage":          {view.WebhookPage, func(*view.Webhook) {}, func(v *view.Webhook) { v.Calls, v.Test.OK = nil, true }},
		"WebhookCallPage":      {view.WebhookCallPage, func(*view.WebhookCall) {}, func(v *view.WebhookCall) { v.Attempts = nil }},
	}
}

// setupSteps are all first steps, each as far as s is.
func setupSteps(s view.SetupStep) []view.SetupStep {
	var list []view.SetupStep
	for i, name := range []string{"owner", "domain", "operator", "admin", "mail"} {
		s.Name, s.Number, s.Skip = name, i+1, "mail"
		list = append(list, s)
	}
	return list
}

// components are the exported functions of the package that make a component.
func components(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range parsed.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Recv != nil || !f.Name.IsExported() || f.Type.Results.NumFields() != 1 {
				continue
			}
			if s, ok := f.Type.Results.List[0].Type.(*ast.SelectorExpr); ok && s.Sel.Name == "Component" {
				names = append(names, f.Name.Name)
			}
		}
	}
	slices.Sort(names)
	return names
}

// show calls a component with its arguments, of which one is as way, a func(*T), makes it.
func show(t *testing.T, component any, arguments []reflect.Value, way any) string {
	t.Helper()
	if way != nil {
		changed := false
		for i, v := range arguments {
			if reflect.TypeOf(way).In(0).Elem() != v.Type() {
				continue
			}
			p := reflect.New(v.Type())
			p.Elem().Set(v)
			reflect.ValueOf(way).Call([]reflect.Value{p})
			arguments[i], changed = p.Elem(), true
		}
		if !changed {
			t.Fatalf("%T takes nothing that %T is for", component, way)
		}
	}
	call := reflect.ValueOf(component).Call
	if reflect.TypeOf(component).IsVariadic() {
		call = reflect.ValueOf(component).CallSlice
	}
	return render(t, call(arguments)[0].Interface().(templ.Component))
}

// shown are all renderings of a component with what a text gives: as the ways say, and as
// it is filled with every condition true and with none.
func shown(t *testing.T, p view.Page, name string, text func(string, int) string) []string {
	t.Helper()
	component, ways := views()[name][0], views()[name][1:]
	filled := func(yes bool) []reflect.Value {
		return arguments(t, name, component, p, &filling{text: text, yes: yes})
	}
	var list []string
	for _, way := range ways {
		list = append(list, show(t, component, filled(true), way))
	}
	return append(list, show(t, component, filled(true), nil), show(t, component, filled(false), nil))
}

func TestNoViewIsWithoutItsThreeRenderings(t *testing.T) {
	all := views()
	for _, name := range components(t) {
		if all[name] == nil {
			t.Errorf("%s is in no golden file: add it to views, and run go test ./internal/panel/view -update", name)
		}
		delete(all, name)
	}
	for name := range all {
		t.Errorf("there is no %s", name)
	}
	files, err := filepath.Glob(filepath.Join("testdata", "views", "*.html"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if name, _, _ := strings.Cut(filepath.Base(file), "-"); views()[name] == nil {
			t.Errorf("%s is of no view", file)
		}
	}
}

func TestEveryViewIsRenderedEmptyFullAndHostile(t *testing.T) {
	p := frame(t)
	for name, v := range views() {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join("views", name)
			compare(t, file+"-empty", show(t, v[0], arguments(t, name, v[0], p, nil), nil))
			var full []string
			for _, text := range shown(t, p, name, realisticText()) {
				if !slices.Contains(full, text) {
					full = append(full, text)
				}
			}
			compare(t, file+"-full", strings.Join(full, "\n\n<!-- another way -->\n\n"))
			compare(t, file+"-hostile", shown(t, p, name, hostileText)[0])
		})
	}
}
