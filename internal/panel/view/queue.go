package view

// Queue is the page about waiting mail of all operators.
type Queue struct {
	Now         QueueNow
	Sizes       []QueueSizeRow
	Operator    Field
	Names       []Name
	Domain      Field
	Active      bool
	Backlogs    []BacklogRow
	First, Next string
}

// QueueNow is what this node is doing; it is looked at again and again.
type QueueNow struct {
	Poll         string
	Destinations []DestinationRow
	More         string // how many are left out, "" for none
	Sessions     string
}

// DestinationRow is where this node sends mail to.
type DestinationRow struct {
	Name         string // of a site or a server
	Kind         string
	OperatorID   string // whose server it is
	Operator     string
	State, Label string
	Sessions     string // "3 of 20"
	Waiting      string
	Rate         string
	Why          string
	Since        string      // since when it is slowed, and how often it was; "" if it is not
	Hurry        [][2]string // what to send for that to end; none if there is nothing to end, or one may not
}

// QueueSizeRow is an operator with much waiting.
type QueueSizeRow struct{ ID, Name, Queued, Held string }

// BacklogRow is what waits of one operator for one site.
type BacklogRow struct {
	OperatorID, Operator string
	Site                 string
	Path                 string // of the deliveries
	Waiting, Oldest      string
	Wait, Words          string // what it waits for, and in the other side's words
}

// Deliveries is a list of queued deliveries.
type Deliveries struct {
	Operator      Field
	Names         []Name
	Domain, State Field
	Active        bool
	Done          string // what an action did, "" for none
	Unfinished    bool   // and there is more for it to do
	Rows          []DeliveryRow
	First, Next   string
	Controls      []QueueControl // none if the person may not
	Scope         string         // what they are about, in words
	All           bool           // of everything that waits
}

// DeliveryRow is a queued delivery.
type DeliveryRow struct {
	To, ID               string
	OperatorID, Operator string
	Lane                 string
	State, Label         string
	Tries, Expires       string
	Wait, Words          string // what it waits for, and in the other side's words
}

// QueueControl is something to do with all that is listed.
type QueueControl struct {
	Label, Ask string
	Hidden     [][2]string
	Danger     bool
}
