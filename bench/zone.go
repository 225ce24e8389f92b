package main

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/miekg/dns"
)

// startZone serves, over UDP and TCP on one loopback port, the few names that direct
// delivery asks for: the recipient domain's MX and the address of that host. It
// returns the port.
func startZone(ctx context.Context, in *instance) (string, error) {
	var conf net.ListenConfig
	packets, err := conf.ListenPacket(ctx, "udp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	addr := packets.LocalAddr().String()
	stream, err := conf.Listen(ctx, "tcp", addr)
	if err != nil {
		_ = packets.Close()
		return "", err
	}
	for _, server := range []*dns.Server{
		{PacketConn: packets, Handler: dns.HandlerFunc(answer)},
		{Listener: stream, Handler: dns.HandlerFunc(answer)},
	} {
		started := make(chan struct{})
		ended := make(chan error, 1)
		server.NotifyStartedFunc = func() { close(started) }
		go func() { ended <- server.ActivateAndServe() }()
		select {
		case <-started:
			in.onStop(server.Shutdown)
		case err := <-ended:
			return "", fmt.Errorf("DNS: %w", err)
		case <-time.After(10 * time.Second):
			return "", fmt.Errorf("DNS does not start")
		}
	}
	return addr, nil
}

// answer knows two names. Everything else does not exist, except that the first
// name's other types are merely empty (RFC 2308 section 2.2).
func answer(w dns.ResponseWriter, q *dns.Msg) {
	reply := new(dns.Msg).SetReply(q)
	reply.Authoritative = true
	if len(q.Question) == 1 {
		question := q.Question[0]
		head := dns.RR_Header{Name: question.Name, Rrtype: question.Qtype, Class: dns.ClassINET, Ttl: 3600}
		switch name := dns.CanonicalName(question.Name); {
		case name == recipientDomain+"." && question.Qtype == dns.TypeMX:
			reply.Answer = append(reply.Answer, &dns.MX{Hdr: head, Preference: 10, Mx: exchanger + "."})
		case name == exchanger+"." && question.Qtype == dns.TypeA:
			reply.Answer = append(reply.Answer, &dns.A{Hdr: head, A: net.IPv4(127, 0, 0, 1)})
		case name == recipientDomain+".", name == exchanger+".":
		default:
			reply.Rcode = dns.RcodeNameError
		}
	}
	_ = w.WriteMsg(reply)
}
