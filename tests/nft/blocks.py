"""Texts of the comparison with nft: tables, chains, sets, maps, objects, definitions, commands."""

import re


def _texts(all_of_them: str) -> list[str]:
    """The texts between lines of dashes."""
    return [text.strip() + "\n" for text in re.split(r"^---$", all_of_them, flags=re.M)]


#: texts that nft takes, and whose listings are compared
ACCEPTED = _texts(r"""
table inet t {
}
---
table t {
}
---
table inet t {
	flags dormant
	comment "the table"
	chain c { comment "empty"; }
}
---
table inet t {
	chain a { type filter hook input priority filter; policy drop; comment "ch"; jump b; }
	chain b { }
	chain d { type nat hook prerouting priority dstnat + 5; }
	chain e { type nat hook postrouting priority srcnat - 10; policy accept; }
	chain f { type filter hook prerouting priority raw; }
	chain g { type filter hook forward priority -151; policy accept; }
	chain h { type route hook output priority mangle; }
	chain i { type filter hook output priority 12; }
	chain j { type filter hook output priority 50; }
	chain k { type filter hook output priority -100; }
	chain l { type filter hook forward priority 100; }
	chain m { type filter hook postrouting priority srcnat+10; }
	chain n { type filter hook input priority -1; }
	chain o { type filter hook forward priority 11; }
}
---
table inet t {
	set a { typeof ip saddr . tcp dport; flags interval; comment "cc"; elements = { 10.0.0.0/8 . 80, 1.2.3.4 . 20-30 }; }
	set b { type inet_service; flags constant,interval; policy memory; auto-merge; elements = { 1-10, 11-20, 30 }; }
	set d { type ifname; elements = { eth0, "eth1" }; }
	set e { type ipv4_addr; elements = { 10.0.0.5, 10.0.0.2, 10.0.0.3, 10.0.0.4, 10.0.0.1 }; }
	set f { type inet_proto; flags dynamic; size 10; }
	set g { type ipv4_addr; flags interval; }
	set h { type ipv4_addr; flags interval; elements = { 10.0.0.0/8, 11.0.0.0-11.0.0.20, 12.0.0.1 }; }
	set i { type mark; elements = { 1, 2, 0x30, 4, 5, 6, 7 }; }
	set j { type inet_service; elements = { 1000, 1001, 1002, 1003, 1004, 1005, 1006 } }
	set k { type inet_proto; elements = { tcp, udp, 200 }; }
	set l { type icmp_type; elements = { echo-request, echo-reply }; }
	set m { type ct_state; elements = { new, established, related }; }
	set n { type ipv4_addr . inet_service; elements = { 10.0.0.1 . 80, 10.0.0.2 . ssh }; }
	set o { type dscp; elements = { cs1, ef }; }
	set p { type pkt_type; elements = { host, broadcast, multicast }; }
	set q { type ct_status; elements = { snat, dnat, assured }; }
	set r { type ct_dir; elements = { original, reply }; }
	set s { type tcp_flag; elements = { syn, ack, fin }; }
	set u { type ecn; elements = { ce, ect0 }; }
	set v { type uid; elements = { 0, 1, 2, 3, 4, 5 }; }
	set w { type fib_addrtype; elements = { local, unicast }; }
	set x { type nf_proto; elements = { ipv4 }; }
	set y { type iface_index; elements = { "lo" }; }
	set z { type ipv4_addr; elements = { 10.0.0.1 comment "one", 10.0.0.2 }; }
}
---
table inet t {
	set a { type ipv4_addr; flags timeout; timeout 1h30m; gc-interval 10s; size 500; }
	set b { type ipv4_addr; timeout 1d; }
	set d { type mark; elements = { 1, 2 }; counter; }
	set e { type ipv4_addr; flags dynamic,timeout; size 65535; timeout 90s; }
	set f { type ipv4_addr . ipv4_addr; flags interval; elements = { 10.0.0.0/8 . 11.0.0.0-11.0.0.5 } }
	set g { type inet_service; flags interval; elements = { 0-1023, 5000-5000, 6000-6001 } }
	set h { type inet_service; flags interval; elements = { 1-10, 11-20 } }
	set i { typeof meta mark; elements = { 5 }; }
	set j { typeof ct mark . ip daddr; elements = { 5 . 10.0.0.1 }; }
	set k { typeof ct original ip saddr . meta mark; }
	set l { typeof iifname; elements = { "lo" } }
}
---
table inet t {
	chain other { }
	map a { type ipv4_addr : verdict; flags interval; elements = { 10.0.0.0/8 : accept, 11.0.0.0-11.0.0.20 : jump other }; }
	map b { typeof ip saddr : meta mark; elements = { 10.0.0.1 : 0x5 }; }
	map d { type inet_service : ipv4_addr . inet_service; elements = { 80 : 10.0.0.1 . 8080, 81 comment "x" : 10.0.0.1 . 81 }; }
	map e { type ipv4_addr : counter; elements = { 10.0.0.1 : "k" }; }
	map f { type ipv4_addr . inet_service : verdict; elements = { 10.0.0.1 . 22 : accept, 10.0.0.1 . 80 : goto other }; }
	map g { type mark : verdict; elements = { 3 : accept, 1 : drop, 2 : return }; }
	map h { type ipv4_addr : mark; flags dynamic, timeout; timeout 10m; size 100; }
	map i { type ifname : verdict; elements = { "lo" : accept, eth0 : continue }; }
	map j { type inet_service : inet_service; elements = { 80 : 8080 }; }
	map k { type inet_service : ipv4_addr; flags interval; elements = { 80-90 : 10.0.0.1, 100 : 10.0.0.2 }; }
	map l { type ct_state : verdict; elements = { new : accept, established : drop }; }
	counter k { comment "kk"; packets 1 bytes 2; }
	counter k2 { }
	quota q { over 10 mbytes used 1 mbytes; }
	quota q2 { 100 bytes; comment "x"; }
	quota q3 { 1500 kbytes }
	limit l { rate over 10/minute burst 7 packets; comment "l"; }
	limit l2 { rate 1 mbytes/second; }
	limit l3 { rate 10/second; }
	limit l4 { rate 10 kbytes/hour burst 5 kbytes; }
	chain c {
		counter name ip saddr map @e
		quota name ip saddr map { 1.2.3.4 : "q" }
		limit name tcp dport map { 80 : "l", 81 : "l2" }
	}
}
---
table ip t {
	counter a { }
	counter b { }
	quota q { over 100 bytes; }
	limit l { rate 1/hour burst 3 packets; }
	map m { type ipv4_addr : counter; elements = { 10.0.0.1 : "a" }; }
	map mi { type ipv4_addr : counter; flags interval; elements = { 10.0.0.0/8 : "a", 11.0.0.1-11.0.0.5 : "b" }; }
	map mq { type ipv4_addr : quota; elements = { 10.0.0.1 : "q" }; }
	map ml { typeof ip saddr . tcp dport : limit; elements = { 10.0.0.1 . 80 : "l" }; }
	set each { type ipv4_addr; size 100; flags dynamic; }
	set counts { type ipv4_addr; size 100; flags dynamic; ct count over 3; elements = { 10.0.0.8 ct count over 3 }; }
	set lim { type ipv4_addr; size 100; flags dynamic; limit rate 5/hour; elements = { 10.0.0.9 limit rate 5/hour }; }
	set quo { type ipv4_addr; size 100; flags dynamic; quota 500 bytes; elements = { 10.0.0.9 quota 500 bytes }; }
	map verdicts { type ipv4_addr : verdict; elements = { 10.0.0.1 : accept }; }
	set last { type ipv4_addr; elements = { 10.0.0.1 }; }
	chain c {
		counter name ip saddr map @m
		counter name ip saddr map @mi
		quota name ip saddr map @mq
		limit name ip saddr . tcp dport map @ml drop
		counter name ip saddr map { 10.0.0.1 : "a", 10.0.0.2 : "b" }
		counter name tcp dport map { 10-20 : "a", 22 : "b" }
		ct state new add @each { ip saddr ct count over 3 } reject
		add @each { ip saddr ct count 3 } accept
		update @each { ip saddr ct count over 3 counter } drop
		fib saddr . iif oif missing drop
		fib saddr . iif oif 0 accept
		fib saddr oifname "eth*" accept
		fib saddr oif { "lo" } accept
		fib daddr type vmap { local : accept, unicast : drop }
	}
}
---
define web = { 80, 443 }
define net = 10.0.0.0/8
define ports = 1000-2000
define one = 10.1.2.3
define name = "lo"
define colour = 0x20
table inet t {
	define ssh = 22
	set s { type ipv4_addr; flags interval; elements = { $net, 11.0.0.1 } }
	chain c {
		tcp dport $web accept
		tcp dport { $web, $ssh, $ports } accept
		ip saddr $net iifname $name
		ip saddr { $net, $one } meta mark set $colour
		ip daddr $one tcp dport $ports drop
	}
}
redefine one = 10.9.9.9
table ip u {
	chain c {
		ip daddr $one
		tcp dport 80 dnat to $one:8080
	}
}
---
define low = -5
define level = filter
table ip t {
	chain c { type filter hook input priority $low; }
	chain d { type filter hook input priority $level; }
}
---
add table ip t
add chain ip t c { type filter hook input priority 0 ; policy drop ; }
add chain ip t d
add rule ip t c ip saddr 10.0.0.1 accept
insert rule ip t c tcp dport 22 accept comment "first"
add set ip t s { type ipv4_addr ; }
add element ip t s { 10.0.0.1, 10.0.0.2 }
add rule ip t c ip daddr @s jump d
add map ip t m { type inet_service : verdict ; }
add element ip t m { 80 : accept, 22 : jump d }
add counter ip t k
add quota ip t q { over 10 mbytes }
add limit ip t l { rate 5/second }
add rule ip t c index 1 tcp dport vmap @m
delete element ip t s { 10.0.0.2 }
---
flush ruleset
table ip t
delete table ip t
table ip t {
	chain c { ip saddr 10.0.0.1; tcp dport 22 \
		accept; }
}
add rule t c udp dport 53 accept
flush chain ip t c
add rule ip t c udp dport 54 accept
---
table ip t {
	# a comment
	chain c { # and another
		# a third
		ip saddr { 10.0.0.1, # one
			10.0.0.2 # two
		} accept
		accept # the end
	}
} # end
---
table ip t {
	chain c {
		ip saddr @s accept
	}
	set s { type ipv4_addr; }
}; table ip u { chain d { }; }
""")

#: texts that nft refuses
REFUSED = _texts(r"""
table ip t {
	map m { type ipv4_addr : counter; flags dynamic; }
}
---
table ip t { chain c { accept } }
---
table ip t {
	chain c { } chain d { }
}
---
table ip t { } table ip u { }
---
table ip t {
	set s { type ipv4_addr }
}
---
table ip t {
	set s { type ipv4_addr; timeout 5; }
}
---
table ip t {
	set s { type nonsense; }
}
---
table ip t {
	set s { flags interval; }
}
---
table ip t {
	set s { type ipv4_addr; flags nonsense; }
}
---
table ip t {
	set s { type ipv4_addr; flags interval; elements = { 10.0.0.0/8, 10.1.1.1 } }
}
---
table ip t {
	set s { type ipv4_addr; elements = { 10.0.0.0/8 } }
}
---
table ip t {
	set s { type inet_service; elements = { 1-5 } }
}
---
table ip t {
	set s { type ipv4_addr; auto-merge; }
}
---
table ip t {
	set s { type ipv4_addr; elements = { } }
}
---
table ip t {
	set s { type ipv4_addr; elements = { 10.0.0.1 : accept } }
}
---
table ip t {
	map m { type ipv4_addr : verdict; elements = { 10.0.0.1 } }
}
---
table ip t {
	map m { type ipv4_addr : mark; elements = { 10.0.0.1 : 1, 10.0.0.1 : 2 } }
}
---
table ip counter { }
---
table ip t {
	chain accept { }
}
---
table ip t {
	chain "a" { }
}
---
define x = 1
define x = 2
---
define mark = 1
---
table ip t {
	chain c { tcp dport $x; }
}
---
table ip t {
	chain c { define x = 22; tcp dport $x; }
	chain d { tcp dport $x; }
}
---
table ip t {
	chain c { type filter hook input priority dstnat; }
}
---
table ip t {
	chain c { type nat hook forward priority 0; }
}
---
table ip t {
	chain c { type nonsense hook input priority 0; }
}
---
table ip t {
	chain c { type filter hook nonsense priority 0; }
}
---
table ip t {
	chain c { type filter hook input priority nonsense; }
}
---
table ip t {
	chain c { policy drop; }
}
---
table ip t {
	chain c { type filter hook input priority 0; policy reject; }
}
---
table ip t {
	chain c { type nat hook prerouting priority -300; }
}
---
add element ip t s { 10.0.0.1 }
---
table ip t {
	chain c { ip saddr @s; }
}
table ip t {
	set s { type ipv4_addr; }
}
---
table ip t {
	limit l { rate 0/nonsense; }
}
---
table nonsense t { }
---
include "/nonsense/nonsense.nft"
---
"unterminated
---
table ip t {
	chain c { log prefix "unterminated }
}
""")
