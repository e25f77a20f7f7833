"""The rules of the comparison with nft: each line is a rule, which is loaded into a chain of its own.

`PRELUDE` has the sets, maps, objects and chains that the rules name.
"""

PRELUDE = """
    set hosts { type ipv4_addr; elements = { 10.1.1.1, 10.1.1.2 }; }
    set nets { type ipv4_addr; flags interval; elements = { 10.0.0.0/8, 192.168.1.1-192.168.1.20 }; }
    set ports { type inet_service; elements = { 22, 80 }; }
    set pairs { type ipv4_addr . inet_service; elements = { 10.1.1.1 . 22 }; }
    set seen { type ipv4_addr; size 1000; flags dynamic,timeout; timeout 1m; }
    set seen2 { type ipv4_addr . inet_service; size 1000; flags dynamic; }
    map verdicts { type ipv4_addr : verdict; elements = { 10.1.1.1 : accept, 10.1.1.2 : jump other }; }
    map marks { type ipv4_addr : mark; elements = { 10.1.1.1 : 1 }; }
    map targets { type inet_service : ipv4_addr; elements = { 80 : 10.1.1.1, 443 : 10.1.1.2 }; }
    map clients { type ipv4_addr : mark; size 100; flags dynamic,timeout; }
    map both { type inet_service : ipv4_addr . inet_service; elements = { 80 : 10.1.1.1 . 8080 }; }
    counter hits { packets 0 bytes 0 }
    quota much { over 100 mbytes }
    limit slow { rate 10/second }
    chain other { }
"""

#: rules that nft and pystack take in tables of the families ip and inet
BOTH = r"""
accept
drop
return
continue
jump other
goto other
counter
counter accept
counter packets 5 bytes 1000 drop
counter name hits
counter name "hits" accept
ip saddr 10.1.2.3
ip saddr 10.1.2.3 accept
ip saddr == 10.1.2.3 drop
ip saddr != 10.1.2.3 drop
ip daddr 10.0.0.0/8
ip daddr != 10.0.0.0/8 accept
ip daddr 192.168.4.0/22
ip saddr 0.0.0.0/0
ip saddr 10.1.2.3/32
ip saddr 10.1.2.3-10.1.2.9
ip saddr != 10.1.2.3-10.1.2.9
ip saddr 10.1.2.0-10.1.2.255
ip saddr < 10.1.2.3
ip saddr >= 10.1.2.3
ip saddr & 255.255.255.0 == 10.1.2.0
ip saddr & 0.0.0.255 == 0.0.0.1
ip saddr & 0.0.0.255 < 0.0.0.127
ip saddr { 10.1.2.3, 10.1.2.1 } accept
ip saddr != { 10.1.2.3, 10.1.2.1 } accept
ip saddr { 10.0.0.0/8, 192.168.0.0/16, 172.16.0.0/12 } accept
ip saddr { 10.1.2.1-10.1.2.5, 10.1.2.8 }
ip saddr { 10.0.0.0/9, 10.128.0.0/9 }
ip saddr { 10.0.0.0/8, 10.1.0.0/16 }
ip saddr @hosts accept
ip saddr != @hosts drop
ip saddr @nets tcp dport @ports accept
ip saddr . tcp dport @pairs accept
ip saddr . tcp dport { 10.1.1.1 . 22, 10.1.1.2 . 80 } accept
ip saddr . tcp dport { 10.1.1.0/24 . 22, 10.1.1.2 . 80-90 } accept
ip saddr . ip daddr . tcp dport { 10.1.1.1 . 10.1.1.2 . 22 } drop
ip saddr . ip daddr vmap { 10.1.1.1 . 10.1.1.2 : accept, 10.1.1.3 . 10.1.1.4 : drop }
ip protocol tcp
ip protocol 6
ip protocol { tcp, udp, icmp }
ip protocol != tcp
ip protocol 253
ip protocol esp accept
ip protocol icmp
ip protocol . ip saddr { tcp . 10.1.1.1, udp . 10.1.1.2 } drop
ip protocol tcp tcp dport 22
ip protocol udp udp dport 53 accept
ip ttl 1
ip ttl 64 accept
ip ttl < 10 drop
ip ttl 1-5
ip ttl { 1, 2, 3 }
ip ttl > 1 counter
ip ttl set 64
ip dscp cs1
ip dscp af21 accept
ip dscp ef
ip dscp 0x1
ip dscp 10
ip dscp != cs0
ip dscp { cs1, cs2, af11 }
ip dscp set cs3
ip dscp set ef accept
ip ecn ce
ip ecn not-ect
ip ecn { ect0, ect1 }
ip length 20
ip length > 1000
ip length 100-200 drop
ip length { 40, 52-60 }
ip id 1
ip id 0x100
ip version 4
ip hdrlength 5
ip hdrlength > 5 drop
ip frag-off 0
ip frag-off & 0x1fff != 0
ip frag-off & 0x1fff != 0x0 drop
ip frag-off & 0x4000 == 0x4000
ip checksum 1
ip saddr set 10.1.1.1
ip daddr set 10.9.9.9 accept
tcp dport 22
tcp dport ssh
tcp dport http accept
tcp dport "https" accept
tcp dport != 22
tcp dport 1024-65535
tcp dport >= 1024
tcp dport < 1024
tcp dport { 22, 80, 443 }
tcp dport { ssh, http, https } accept
tcp dport != { 22, 80 } drop
tcp dport { 22, 8000-8100 }
tcp dport { 8000-8100, 8101-8200 }
tcp dport { 1-10, 5-20 }
tcp dport { 1024-65535 }
tcp dport { 22 }
tcp dport 0x16
tcp sport 1024-65535 tcp dport 22
tcp sport 1024 tcp dport { 22, 80 } accept
tcp sport . tcp dport { 1024 . 22 }
tcp ackseq 22
tcp window 0
tcp window > 100
tcp urgptr 1
tcp doff 5
tcp doff > 5
tcp checksum 0
tcp flags syn
tcp flags == syn
tcp flags != syn
tcp flags syn,ack
tcp flags { syn, ack }
tcp flags { syn, syn | ack }
tcp flags & syn == syn
tcp flags & (syn | ack) == syn
tcp flags & (syn|ack) == (syn|ack)
tcp flags & (fin | syn | rst | ack) == syn
tcp flags & (fin | syn | rst | ack) != syn ct state new drop
tcp flags & syn != 0
tcp flags & (syn | fin) != 0
tcp flags syn / syn,ack
tcp flags syn / fin,syn,rst,ack
tcp flags != syn / fin,syn,rst,ack
tcp flags syn,ack / syn,ack
tcp flags ! syn
tcp flags ! syn,ack
tcp flags == 0x0
tcp flags & (fin | syn | rst | psh | ack | urg) == 0x0 drop
tcp flags & fin == 0
tcp flags & (fin | syn | rst | ack) == { syn, fin | ack }
tcp dport set 8080
tcp option maxseg size 1460
tcp option maxseg size > 1400
tcp option maxseg size 500-1460
tcp option maxseg size set 1400
tcp option maxseg size set rt mtu
tcp option maxseg exists
tcp option maxseg missing
tcp option window count 3
tcp option window exists
tcp option sack-perm exists
tcp option sack exists
tcp option sack left 5
tcp option timestamp exists
tcp option timestamp tsval 10
tcp option timestamp tsecr 1
tcp option nop exists
tcp option eol exists
tcp option maxseg length 4
tcp flags syn tcp option maxseg size set rt mtu
tcp flags & (syn | rst) == syn tcp option maxseg size set 1400
reset tcp option timestamp
udp dport 53
udp dport domain accept
udp dport { 53, 67, 68 }
udp sport 53 udp dport 1024-65535
udp length > 100
udp length 8
udp checksum 0
udp dport 53 counter accept
udp dport set 5353
th dport 22
th dport { 53, 80 }
th sport 1-1023
meta l4proto { tcp, udp } th dport 53
meta l4proto { tcp, udp } th dport { 53, 80 } accept
icmp type echo-request
icmp type echo-request accept
icmp type 8
icmp type { echo-request, echo-reply } accept
icmp type != echo-request drop
icmp type destination-unreachable icmp code port-unreachable
icmp code host-unreachable
icmp code 4
icmp code { 1, 4, 6 }
icmp type time-exceeded
icmp type 100
icmp id 5
icmp sequence 1
icmp type echo-request icmp id 5
icmp mtu 1400
icmp type echo-request limit rate 4/second accept
meta l4proto tcp
meta l4proto 6
meta l4proto icmp accept
meta l4proto { tcp, udp, icmp }
meta l4proto != tcp
meta l4proto tcp tcp dport 22
meta l4proto 200-210
meta l4proto 94
meta l4proto { ospf, comp }
meta protocol ip
meta protocol ip accept
meta length 100
meta length > 1000
meta length 100-200
meta length { 40, 60 }
meta mark 1
meta mark 0x10
meta mark != 0x10
meta mark 0x1-0x10
meta mark { 1, 2, 3 }
meta mark & 0xff == 0x10
meta mark & 0xff00 != 0
meta mark & 0x3 == 0x1
meta mark and 0xf == 1
meta mark set 1
meta mark set 0x10 accept
meta mark set ct mark
meta mark set meta mark & 0xffff0000
meta mark set meta mark | 0x1
meta mark set meta mark and 0xff or 0x100
meta mark set meta mark xor 0x1
meta mark set mark or 0x10
meta mark set tcp dport
meta mark set ip saddr map { 10.1.1.1 : 1, 10.1.1.2 : 2 }
meta mark set ip saddr map @marks
meta mark set ct mark and 0xff
meta mark set meta mark << 8
meta mark set meta mark >> 8
meta mark set numgen inc mod 2
meta mark set numgen inc mod 2 offset 100
meta mark set numgen random mod 10
meta mark set jhash ip saddr mod 2
meta mark set jhash ip saddr . tcp sport mod 10 seed 0xdeadbeef
meta mark set jhash ip saddr . ip daddr mod 4 seed 0x1 offset 8
meta nftrace set 1
nftrace set 1
meta iif "lo"
meta iif lo accept
iif lo
iif "lo" accept
iif != lo drop
meta iifname "eth0"
iifname eth0 accept
iifname != "eth0"
iifname "eth*" accept
iifname "ppp\*" accept
iifname { "eth0", "eth1" } accept
iifname { eth1, eth0 }
iifname { "eth*", "lo" } accept
oifname eth0 drop
oif lo
meta oifname "wan"
meta oif "lo" accept
iifname . oifname { "a" . "b", "c" . "d" } accept
iifname . tcp dport { "a" . 22 } accept
iifname vmap { "lo" : accept, "eth0" : jump other }
meta skuid 0
meta skuid 1000
meta skuid 1000-2000
meta skgid 0
skuid 1000
meta pkttype host
meta pkttype broadcast drop
meta pkttype { broadcast, multicast }
pkttype multicast
meta cpu 0
cpu 1
meta random <= 1000
mark 1
mark set 5
ct state new
ct state established
ct state established,related accept
ct state established, related accept
ct state related,established accept
ct state { established, related } accept
ct state invalid drop
ct state != new
ct state != established,related
ct state untracked
ct state new tcp dport 22 accept
ct state vmap { established : accept, related : accept, invalid : drop }
ct state vmap { invalid : drop, established : accept, new : jump other }
ct status assured
ct status snat
ct status dnat accept
ct status seen-reply,assured
ct status expected
ct status ! dnat
ct direction original
ct direction reply
ct mark 1
ct mark 0x10 accept
ct mark set 1
ct mark set meta mark
ct mark set mark
ct mark != 0
ct mark & 0xff == 1
ct mark and 1 == 1
ct mark set ct mark or 0x100
ct mark set meta mark and 0xff
ct mark set ip saddr map @marks
ct expiration 10s
ct expiration < 1m
ct expiration 1m-1h
ct expiration > 1d2h3m
ct helper "ftp"
ct zone 1
ct zone set 5
ct original packets > 10
ct reply bytes > 1000
ct bytes > 100000
ct packets 5
ct original avgpkt > 100
ct original ip saddr 10.1.1.1
ct original ip daddr 10.0.0.0/8
ct reply ip saddr 10.1.1.2
ct original proto-dst 80
ct original proto-src 1024
ct reply proto-src 80
ct original protocol tcp
ct l3proto ipv4
ct protocol tcp
ct protocol { tcp, udp }
ct count 20
ct count over 20 drop
ct id 1
notrack
reject
reject with icmp port-unreachable
reject with icmp type port-unreachable
reject with icmp host-unreachable
reject with icmp net-unreachable
reject with icmp prot-unreachable
reject with icmp net-prohibited
reject with icmp host-prohibited
reject with icmp admin-prohibited
reject with tcp reset
tcp dport 113 reject with tcp reset
meta l4proto tcp reject with tcp reset
ip protocol tcp reject with tcp reset
tcp dport 23 reject
udp dport 53 reject with icmp host-unreachable
log
log prefix "dropped: "
log prefix "x" level info
log level debug
log level warn
log level emerg
log level audit
log group 1
log prefix "in " group 2
log group 2 snaplen 100 queue-threshold 5
log flags all
log flags tcp sequence
log flags tcp sequence,options
log flags ip options
log flags skuid
log flags ether
log prefix "a" flags all drop
log prefix "b " counter drop
limit rate 10/second
limit rate 10/second accept
limit rate 10/minute
limit rate 10/hour
limit rate 10/day
limit rate 10/week
limit rate over 10/second drop
limit rate 10/second burst 20 packets
limit rate 10/second burst 5 packets
limit rate over 10/minute burst 3 packets drop
limit rate 1 kbytes/second
limit rate 100 bytes/second
limit rate 1 mbytes/second
limit rate 10 kbytes/second burst 100 bytes
limit rate over 1 mbytes/second burst 2 mbytes drop
limit rate 1025 bytes/second burst 5 kbytes
limit rate 2048 kbytes/minute
limit name slow
limit name "slow" accept
quota 100 bytes
quota 25 mbytes
quota over 25 mbytes drop
quota until 500 kbytes accept
quota 1 mbytes used 10 kbytes
quota over 1024 bytes
quota 1000 kbytes
quota name much drop
ip saddr vmap { 10.1.1.1 : accept, 10.1.1.2 : drop }
ip saddr vmap { 10.0.0.0/8 : jump other, 192.168.0.0/16 : goto other }
ip saddr vmap @verdicts
tcp dport vmap { 22 : accept, 80-90 : drop, 443 : return }
tcp dport vmap { ssh : accept, http : continue }
ip protocol vmap { tcp : jump other, udp : accept, icmp : drop }
meta l4proto vmap { tcp : jump other, udp : accept }
icmp type vmap { echo-request : accept, redirect : drop }
iifname . tcp dport vmap { "lo" . 22 : accept, "eth0" . 80 : drop }
numgen inc mod 3 0
numgen inc mod 2 vmap { 0 : accept, 1 : drop }
numgen random mod 100 < 10 drop
numgen random mod 4 vmap { 0-1 : accept, 2 : drop }
jhash ip saddr mod 2 vmap { 0 : accept, 1 : drop }
jhash ip saddr . tcp dport mod 4 seed 0x5 1
jhash tcp sport mod 16 3
symhash mod 2 0
meta mark set symhash mod 2
fib daddr type local
fib daddr type local accept
fib daddr type { local, broadcast }
fib daddr type != { local, broadcast, multicast } drop
fib saddr oif 0
fib saddr . iif oif 0 drop
fib saddr . iif oif missing drop
fib saddr . iif oif exists
fib saddr . iif oifname "lo"
fib saddr . mark . iif oif missing drop
fib daddr . iif type unicast
fib saddr type != unicast
fib daddr type vmap { local : accept, broadcast : drop }
rt mtu > 1000
rt ip nexthop 10.1.1.1
add @seen { ip saddr }
update @seen { ip saddr }
update @seen { ip saddr timeout 10s }
add @seen { ip saddr timeout 1m30s } accept
add @seen2 { ip saddr . tcp dport }
update @seen { ip saddr counter }
update @seen { ip saddr limit rate 10/second }
update @seen { ip saddr limit rate over 10/second burst 5 packets } drop
add @seen { ip saddr timeout 10s limit rate over 10/second } drop
delete @seen { ip saddr }
set add ip saddr @seen
set update ip saddr timeout 5s @seen
add @clients { ip saddr : meta mark }
update @clients { ip saddr timeout 30s : 5 }
ct mark set ip saddr map @clients
tcp dport 22 comment "the shell"
accept comment "everything"
accept comment word
ip saddr 10.1.1.1 tcp dport 22 counter log prefix "ssh " accept comment "all"
tcp dport 22 ip saddr 10.1.1.1
ct state new limit rate 5/minute burst 3 packets log prefix "new " accept
meta l4proto udp ip saddr 10.1.1.1 udp dport 53
ip protocol tcp ip saddr 10.1.1.1 tcp dport 53
tcp dport 22 ct state new ip saddr @hosts limit name slow counter name hits accept
ip saddr and 255.0.0.0 == 10.0.0.0
tcp dport & 1 == 1
tcp dport and 0xff00 == 0x1f00
tcp sport != 1024-2048 accept
meta protocol { ip, ip6 }
meta protocol ip tcp dport 22
meta protocol ip6 accept
meta l4proto ipv6-icmp accept
ip saddr 10.1.1.1 reject
ip saddr 10.1.1.1 reject with icmp host-unreachable
dnat ip to 10.1.1.1
dnat ip to 10.1.1.1-10.1.1.9
snat ip to 10.1.1.1
tcp dport 80 dnat ip to 10.1.1.1:8080
ip saddr 10.1.1.1 snat to 10.1.1.2
ip daddr 10.1.1.1 tcp dport 80 dnat to 10.1.1.2:8080
dnat ip to tcp dport map @targets
dnat ip to tcp dport map { 80 : 10.1.1.1, 443 : 10.1.1.2 }
dnat ip to numgen inc mod 2 map { 0 : 10.1.1.1, 1 : 10.1.1.2 }
masquerade
redirect
tcp dport 80 redirect to :8080
th dport 53
tcp dport 53
ip protocol tcp snat to 10.1.1.1:1024-65535
ip protocol tcp snat to :1024-2048
tcp dport 80 dnat to :8080
ip daddr 10.1.1.1 dnat to 10.2.2.2
dnat ip addr . port to tcp dport map { 80 : 10.1.1.1 . 8080 }
masquerade random
masquerade fully-random
masquerade persistent
masquerade random,persistent
oifname "wan" masquerade
ip saddr 10.0.0.0/8 oifname "wan" masquerade
ip protocol tcp masquerade to :1024-65535
tcp dport 80 masquerade to :1024
ip saddr 10.0.0.0/8 ip daddr != 10.0.0.0/8 counter masquerade
tcp dport 80 redirect to 8080
tcp dport 80 redirect to :8080-8090
tcp dport 80 redirect to :8080 random
udp dport 53 redirect to :5353
tcp dport { 80, 8080 } redirect to :3128
tcp dport 22 redirect to :tcp dport map { 22 : 2222 }
meta l4proto tcp th dport 53
ip protocol udp th dport 53
meta l4proto tcp tcp option maxseg size set 1400
meta l4proto { tcp, udp } dnat ip to 10.1.1.1:80
tcp dport 22 meta protocol ip
meta protocol ip meta protocol ip
tcp dport 22 reject with tcp reset
ip saddr { 10.0.0.0/8 }
ip saddr != { 10.1.1.1 }
ct state { established }
tcp flags { syn }
meta mark { 0x10-0x1f }
meta mark { 1, 0x10-0x1f }
tcp dport { 0-1023, 5000 }
ip saddr { 10.0.0.0-10.0.0.3, 11.0.0.1 }
tcp flags == syn,ack
tcp flags == (syn | ack)
ct state == established,new
ct state == established
ct status { snat }
ct status != snat,dnat
tcp flags { syn, syn }
tcp flags != syn,ack
tcp flags syn | ack
ct state new | established
tcp flags & syn syn
tcp flags & (syn | ack) syn
tcp flags { syn, ack, fin | syn }
meta mark & 0xff | 0x100 == 0x101
meta mark set meta mark & 0xff ^ 0x3
meta mark set 1 | 2
meta mark set (meta mark & 0xf0) | 0x1
icmp gateway 1
icmp type destination-unreachable icmp mtu 1400
ip protocol icmp icmp type echo-request
meta l4proto icmp icmp type echo-request accept
counter meta l4proto tcp counter tcp dport 22
ip saddr 10.1.2.3/24
tcp flags & 0x3f == 0x2
tcp flags 0x12
ct state 0x8
ip dscp set 0x3f
meta l4proto tcp meta l4proto tcp tcp dport 22
ip protocol tcp meta l4proto tcp tcp dport 22
meta l4proto tcp ip saddr 10.1.1.1 tcp dport 22
ct original ip saddr . meta mark { 10.1.1.1 . 1 }
ip daddr . meta mark { 10.1.1.1 . 1, 10.1.1.0 . 2, 10.1.1.0 . 1 }
meta mark . ip daddr { 2 . 10.1.1.1, 1 . 10.1.1.3, 256 . 10.1.1.1 }
tcp dport 22-22
iifname 5
quota 0 bytes
reject with icmp 3
reject with icmp type 13
meta l4proto tcp ip protocol tcp accept
tcp dport vmap { 1-10 : accept, 11-20 : accept }
tcp dport vmap { 1 : accept, 1 : accept }
tcp dport { 1, 1 }
meta length 70000
ip saddr 10.1.1.1 ip saddr 10.1.1.2
udp length 8 reject
update @seen { ip saddr timeout 1m }
meta mark set ip dscp
ct mark set ip saddr
ip id set 5
ip length set 5
ip frag-off 0x2000
tcp doff set 5
quota over 10 mbytes used 500 bytes drop
log flags tcp options,sequence
log flags ip options flags skuid
meta l4proto tcp log tcp dport 22
meta l4proto tcp ct state new tcp dport 22
meta l4proto tcp meta mark set tcp dport
meta l4proto tcp meta mark set 1 tcp dport 22
meta l4proto tcp limit rate 5/second tcp dport 22
meta l4proto tcp counter reject with tcp reset
meta l4proto tcp tcp dport vmap { 22 : accept }
meta l4proto tcp counter accept
meta protocol ip counter accept
ip protocol { tcp, udp } th dport 53
ip protocol tcp meta mark 1 tcp dport 22
meta l4proto tcp tcp flags syn tcp dport 22
meta l4proto 6 meta mark 1 meta mark 2 tcp dport 22
meta l4proto != tcp udp dport 53
meta l4proto tcp ip saddr . tcp dport @pairs
meta l4proto tcp add @seen2 { ip saddr . tcp dport }
meta l4proto tcp jhash tcp sport mod 16 3
meta l4proto tcp dnat ip to tcp dport map @targets
ip saddr 10.1.1.1 ip protocol tcp tcp dport 22
meta l4proto { tcp, udp } redirect to :80
meta l4proto tcp redirect to :80
meta l4proto tcp tcp dport 22 tcp sport 80 meta l4proto tcp accept
icmp type { echo-request, echo-reply } icmp id 5
icmp type echo-reply icmp sequence 5 icmp id 6
icmp id 5 icmp type echo-request
notrack accept
log accept
fib saddr oif lo
fib daddr oifname { "lo", "eth0" }
tcp option maxseg missing accept
ct expiration { 10s, 20s }
meta mark != { 1 }
ip daddr . tcp dport vmap { 10.0.0.0/8 . 80 : accept, 11.0.0.0/8 . 90-100 : drop }
iifname != { "a", "b" }
iifname . ip saddr { "a" . 10.0.0.0/8 }
ip saddr . ip daddr { 10.0.0.0/8 . 11.0.0.0/8, 1.1.1.1 . 2.2.2.2 }
ip saddr { 10.0.0.0/8 comment "x", 11.1.1.1 }
tcp dport { 22 comment "ssh", 80 counter }
ct status { snat, dnat }
tcp flags vmap { syn : accept, ack : drop }
tcp flags & (syn | ack) vmap { syn : accept, ack : drop }
ip saddr & 255.0.0.0 vmap { 10.0.0.0 : accept }
ip saddr & 255.0.0.0 { 10.0.0.0, 11.0.0.0 }
meta mark & 0xff { 1, 2 }
meta mark set ip saddr & 0.0.0.255
meta mark set ct mark << 8 | 5
ct mark set tcp dport map { 22 : 1, 80-90 : 2 }
meta mark set iifname map { "lo" : 1 }
tcp dport set tcp sport
meta mark set ip dscp or 0x10
tcp dport 1024- 2048
ip saddr 10.1.1.1 - 10.1.1.9
dnat ip addr . port to tcp dport map @both
dnat ip to tcp dport map @both
snat to ip saddr map { 10.1.1.1 : 10.1.2.1, 10.1.1.2 : 10.1.2.2 }
ip protocol { udp, 99 } reject
ip protocol { tcp, udp } redirect to :80
meta mark & 0xffffffff == 239
tcp dport & 65535 != 389
meta mark set meta mark | 0xff and 0x1 & 0x2
ip saddr . tcp dport { 10.3.0.1 . 31, 10.1.0.1 . 664, 10.149.0.0/24 . 31 }
ip saddr . tcp dport vmap { 10.3.0.1 . 664 : accept, 10.1.0.1 . 5 : drop }
tcp dport 22 ip saddr 10.1.1.1 tcp sport 80 ip daddr 10.1.1.2
ip daddr 10.1.1.2 tcp dport 80 ip saddr != 10.1.1.1 ip saddr 10.1.1.5
tcp window 5 meta mark 1 tcp flags == ack
tcp dport 22 counter tcp sport 80
ip ttl >= 1 ip ttl <= 5
tcp ackseq 5 tcp sequence 6
udp checksum 1 udp length 9 udp dport 5 udp sport 6
ip frag-off 1 ip id 5 ip length 40
ip daddr 10.1.1.2 ip saddr 10.1.1.1
ip protocol 99 ip ttl 5
ip id 5 tcp dport 22 ip length 40
tcp dport 22 meta mark 1 ip ttl 5 tcp sport 80
udp dport 53 ip ttl 5 ip protocol udp
""".strip().splitlines()

#: rules for the family ip alone
IP = r"""
snat to 10.1.1.1
snat 10.1.1.1
snat to 10.1.1.1-10.1.1.9
snat to 10.1.1.0/24
tcp dport 80 snat to 10.1.1.1:1024
tcp dport 80 snat to 10.1.1.1-10.1.1.9:1024-2048
snat to 10.1.1.1 random
snat to 10.1.1.1 persistent
snat to 10.1.1.1 fully-random
snat to 10.1.1.1 random,persistent
dnat to 10.1.1.1
dnat to 10.1.1.1-10.1.1.9
tcp dport 80 dnat to 10.1.1.1:8080
tcp dport 80 dnat to 10.1.1.1:8080-8090
tcp dport { 80, 443 } dnat to 10.1.1.1
udp dport 53 dnat to 10.1.1.1:53 persistent
dnat to 10.1.1.1 random
dnat to tcp dport map { 80 : 10.1.1.1, 443 : 10.1.1.2 }
dnat to tcp dport map @targets
dnat to numgen inc mod 2 map { 0 : 10.1.1.1, 1 : 10.1.1.2 }
dnat to numgen random mod 10 map { 0-4 : 10.1.1.1, 5-9 : 10.1.1.2 }
dnat to jhash ip saddr mod 2 map { 0 : 10.1.1.1, 1 : 10.1.1.2 }
dnat to jhash ip saddr . tcp sport mod 2 seed 0x1234 map { 0 : 10.1.1.1, 1 : 10.1.1.2 }
dnat to iifname map { "eth0" : 10.1.1.1, "eth1" : 10.1.1.2 }
fib daddr type local tcp dport 80 dnat to 10.1.1.1:80
dnat to tcp dport map @both
dnat to tcp dport map @targets:80
dnat to tcp dport map { 80 : 10.1.1.1 . 8080, 443 : 10.1.1.2 . 8443 }
dnat to ip daddr . tcp dport map { 10.1.1.1 . 80 : 10.2.2.2 . 8080 }
""".strip().splitlines()

#: rules for the family inet alone
INET = r"""
meta nfproto ipv4
meta nfproto ipv4 accept
meta nfproto ipv6
meta nfproto ipv6 accept
meta nfproto { ipv4, ipv6 }
meta nfproto ipv4 tcp dport 22
meta nfproto ipv4 ip saddr 10.1.1.1
meta nfproto ipv4 meta l4proto tcp accept
reject with icmpx port-unreachable
reject with icmpx admin-prohibited
reject with icmpx no-route
reject with icmpx host-unreachable
reject with icmpx type host-unreachable
meta nfproto ipv4 reject with icmp port-unreachable
meta nfproto ipv4 ip protocol tcp tcp dport 22
ip saddr 10.1.1.1 meta nfproto ipv4 accept
meta nfproto ipv4 counter ip saddr 10.1.1.1
meta nfproto ipv4 dnat to 10.1.1.1
meta nfproto ipv4 tcp dport 80 dnat to 10.1.1.1:80
meta nfproto ipv4 meta mark 1 reject
meta nfproto ipv4 counter reject
meta nfproto ipv4 jump other
tcp dport 22 meta nfproto ipv4 ip saddr 10.1.1.1
""".strip().splitlines()

#: rules for which the kernel of the tests may lack a module
QUEUES = r"""
queue
queue num 1
queue to 1
queue num 1-3
queue num 1-3 fanout
queue num 2 bypass
queue num 0-4 fanout,bypass
queue flags bypass to 5
""".strip().splitlines()

#: rules that nft takes and pystack does not
UNKNOWN = r"""
tcp option 254 exists
meta priority set 1:2
meta priority 0x87654321
iiftype ether
meta iiftype loopback
meta rtclassid 1
meta iifgroup 1
meta cgroup 1
rt classid 1
@th,16,16 22
@th,0,16 1024
@nh,8,8 0x10
@ih,0,8 1
ether saddr 00:11:22:33:44:55
ether saddr 00:11:22:33:44:55 accept
ether type ip
ether daddr { 00:11:22:33:44:55, 00:11:22:33:44:66 } drop
vlan id 5
meta hour "10:00"-"12:00"
meta day "Monday"
sctp dport 80
dccp dport 80
udplite dport 80
esp spi 5
ah spi 5
socket transparent 1
socket mark 5
synproxy mss 1460 wscale 7 timestamp sack-perm
dup to 10.1.1.1
meta sdif 1
osf name "Linux"
ip6 saddr ::1
ip6 saddr fe80::/10 drop
ip6 saddr { ::1, fe80::/10 }
ip6 daddr != 2001:db8::1
ip6 nexthdr tcp
ip6 hoplimit 1
icmpv6 type echo-request accept
icmpv6 type { nd-neighbor-solicit, nd-router-advert } accept
reject with icmpv6 no-route
ip saddr localhost
log prefix "abc" prefix "x"
tcp option window 5
""".strip().splitlines()

#: rules that neither nft nor pystack takes
REFUSED = r"""
ip saddr . tcp dport 10.1.1.1 . 22 accept
tcp seq 1
tcp option maxseg kind 2
icmp gateway 10.1.1.1
limit rate until 10/second
@nh,96,32 10.1.1.1
arp operation request
meta secmark 1
tproxy to :80
meta broute set 1
dnat ip to 10.1.1.1:80
ct ip saddr 10.1.1.1
tcp dport 22 udp dport 53
meta l4proto tcp udp dport 53
th dport 53 dnat ip to 10.1.1.1:80
udp dport 53 reject with tcp reset
meta l4proto tcp accept tcp dport 22
ip saddr 10.1.1.1 . 10.1.1.2
tcp dport 80-22
tcp dport 70000
tcp dport { }
ip saddr 1.2.3
ip ttl 300
ct state foo
icmp type foo
tcp dport foo
iifname "abcdefghijklmnopq"
limit rate 0/second
limit rate 5/second burst 0 packets
ip saddr @nosuch
tcp dport @hosts
log prefix "x" level info group 2
masquerade to :80
redirect to :80
snat to 10.1.1.1:80
reject with icmp foo
accept accept
drop counter
accept counter
jump other counter
numgen inc mod 0 1
ct original state new
ct mark original 1
ct saddr 10.1.1.1
meta mark set 10.1.1.1
ip saddr set tcp dport
tcp dport vmap { 1-10 : accept, 5-20 : drop }
tcp dport vmap { 1 : accept, 1 : drop }
meta nftrace set 2
meta mark 0x100000000
meta l4proto set 5
icmp type destination-unreachable icmp id 5
masquerade counter
reject counter
redirect accept
queue counter
meta mark == @nosuch
ct state { new, established } . meta mark { new . 1 }
meta mark and 0xff map { 1 : 2 }
ip dscp set ip dscp map { cs1 : cs2 }
ip ttl set ip ttl
queue num 70000
ip protocol { tcp, udp } tcp dport 22
meta l4proto { tcp, udp } tcp dport 22
meta l4proto { tcp, udp } reject with tcp reset
tcp flags syn,fin / ack
limit rate 1242 mbytes/hour
limit rate 1/week burst 4000000000 packets
""".strip().splitlines()
