#!/usr/bin/env bash
# Start the PBX and the telephones, on 127.0.0.1 only.
#
#   ./run.sh                     everything: pbx, customers, agents
#   ./run.sh [pbx] [customers] [agents]
#   ./run.sh keep                everything, for as long as its input is open: tests use this
#
# `keep` reads orders, one a line (start PART, stop PART, agents on|off [FIRST [COUNT]]), and says "done" after each.
# When its input ends, for whatever reason, it stops all it started; when it is killed the kernel does so.
#
# Settings come from the environment (see common.sh). What a dialer under test needs is
# written to $PBX_RUN/env (default: $PBX_HOME/run/env), as shell assignments.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
# parts started later join the PBX that is up, whatever the environment says now
if running pbx >/dev/null && [ -r "$PBX_RUN/env" ]; then . "$PBX_RUN/env"; fi
settings
keep=; if [ "${1:-}" = keep ]; then keep=1; shift; tie=(setpriv --pdeathsig KILL); fi
parts=("$@"); [ ${#parts[@]} -gt 0 ] || parts=(pbx customers agents)
[ -x "$PBX_HOME/bin/asterisk" ] || die "nothing in $PBX_HOME: run install.sh first"
triplet=$(cat "$PBX_HOME/root/.triplet")
mkdir -p "$PBX_RUN"; PBX_RUN=$(cd "$PBX_RUN" && pwd)
[ ${#PBX_RUN} -lt 80 ] || die "PBX_RUN is too long for a socket's name: $PBX_RUN"
umask 077
mkdir -p "$PBX_RUN"/{etc,lib/agi-bin,log,spool/{recording,monitor,tmp,outgoing},sipp}
if ! can_drop; then
  [ ${#drop[@]} -eq 0 ] || say "nobody cannot read $PBX_HOME and $here: running as root"
  drop=()
fi
own() { [ ${#drop[@]} -eq 0 ] || chown -R 65534:65534 "$PBX_RUN"; }
secret() { # a password of its own for every account, kept for the life of the folder
  local f=$PBX_RUN/etc/.$1
  [ -s "$f" ] || head -c 18 /dev/urandom | base64 | tr '+/' 'ab' > "$f"
  cat "$f"
}
ARI_PASSWORD=${PBX_ARI_PASSWORD:-$(secret ari)}
AMI_PASSWORD=${PBX_AMI_PASSWORD:-$(secret ami)}
SIP_PASSWORD=$(secret sip)
agent_password() { printf '%s:%s' "$SIP_PASSWORD" "$1" | sha256sum | cut -c1-24; }

start_pbx() {
  if running pbx >/dev/null; then say "pbx is up already"; return; fi
  local f ami=no; [ "$PBX_AMI" = 1 ] && ami=yes
  for f in "$here"/config/*.conf; do
    sed -e "s|@RUN@|$PBX_RUN|g; s|@ROOT@|$PBX_HOME/root|g; s|@LIB@|$PBX_HOME/root/usr/lib/$triplet|g" \
        -e "s|@HTTP_PORT@|$PBX_HTTP_PORT|g; s|@SIP_PORT@|$PBX_SIP_PORT|g; s|@AMI_PORT@|$PBX_AMI_PORT|g" \
        -e "s|@AMI_ENABLED@|$ami|g; s|@ARI_PASSWORD@|$ARI_PASSWORD|g; s|@AMI_PASSWORD@|$AMI_PASSWORD|g" \
        -e "s|@RTP_FIRST@|$PBX_RTP_FIRST|g; s|@RTP_LAST@|$PBX_RTP_LAST|g" \
        -e "s|@CALLEES_PORT@|$PBX_CALLEES_PORT|g; s|@TRUNK_LINES@|$PBX_TRUNK_LINES|g; s|@MAX_CALLS@|$PBX_MAX_CALLS|g" \
        -e "s|@ABANDON_MESSAGE@|${PBX_ABANDON_MESSAGE//&/\\&}|g" \
        "$f" > "$PBX_RUN/etc/$(basename "$f")"
  done
  { echo "; agents' accounts, made by run.sh"
    for ((i = 1; i <= PBX_AGENTS; i++)); do
      a=agent$((1000 + i))
      printf '\n[%s](agent)\nauth = %s\naors = %s\ncallerid = "Agent %s" <%s>\n' $a $a $a $((1000 + i)) $((1000 + i))
      printf '[%s](agent-auth)\nusername = %s\npassword = %s\n[%s](agent-aor)\n' $a $a "$(agent_password $a)" $a
    done
  } > "$PBX_RUN/etc/pjsip_agents.conf"
  own
  local t0; t0=$(date +%s%N)
  start pbx "$PBX_HOME/bin/asterisk" -f -C "$PBX_RUN/etc/asterisk.conf"
  until cli "core waitfullybooted" 2>/dev/null | grep -q 'fully booted'; do
    running pbx >/dev/null || { tail -5 "$PBX_RUN/log/pbx.out" "$PBX_RUN/log/messages.log" >&2; die "Asterisk did not start"; }
    [ $(( ($(date +%s%N) - t0) / 1000000000 )) -lt "$PBX_PATIENCE" ] || die "Asterisk did not come up in $PBX_PATIENCE s"
    sleep 0.05
  done
  say "pbx is up after $(( ($(date +%s%N) - t0) / 1000000 )) ms (pid $(running pbx))"
}
cli() { "$PBX_HOME/bin/asterisk" -C "$PBX_RUN/etc/asterisk.conf" -rx "$1"; }

sipp() { # name, SIP port, first media port, arguments...
  local name=$1 port=$2 media=$3; shift 3
  if running "$name" >/dev/null; then say "$name are up already"; return; fi
  own
  # -key keeps the run folder on the command line, by which stop.sh knows its own
  start "$name" "$PBX_HOME/bin/sipp" -i 127.0.0.1 -p "$port" -mi 127.0.0.1 -ci 127.0.0.1 -cp $((port + 1)) \
    -min_rtp_port "$media" -max_rtp_port $((media + PBX_SIPP_RTP_COUNT - 1)) \
    -buff_size 4194304 -rtcheck loose -nostdin -key run "$PBX_RUN" \
    -trace_err -error_file "$PBX_RUN/log/$name.err" "$@"
  local until=$((SECONDS + PBX_PATIENCE))
  until listens "$port"; do
    running "$name" >/dev/null || { tail -3 "$PBX_RUN/log/$name.out" >&2; die "$name did not start"; }
    [ $SECONDS -lt $until ] || die "$name did not come up in $PBX_PATIENCE s"
    sleep 0.05
  done
  say "$name are up (pid $(running "$name"))"
}

listens() { grep -qi "^ *[0-9]*: 0100007F:$(printf %04X "$1") " /proc/net/udp; } # SIP port, on the loopback

audio() { [ -s "$PBX_RUN/sipp/agent.al" ] || python3 "$here/sipp/make_audio.py" "$PBX_RUN/sipp"; }

start_customers() {
  audio
  # -log_file: what became of each call, by the telephones themselves
  sipp customers "$PBX_CALLEES_PORT" "$PBX_SIPP_RTP_FIRST" -sf "$here/sipp/customers.xml" \
    -trace_logs -log_file "$PBX_RUN/log/customers.told" \
    -key human "$PBX_RUN/sipp/human.al" -key machine "$PBX_RUN/sipp/machine.al" \
    -set p_busy "$P_BUSY" -set p_noanswer "$P_NOANSWER" -set p_reject "$P_REJECT" \
    -set p_unavail "$P_UNAVAIL" -set p_congestion "$P_CONGESTION" -set p_invalid "$P_INVALID" \
    -set ring_min "$RING_MIN" -set ring_span "$RING_SPAN" -set talk_min "$TALK_MIN" -set talk_span "$TALK_SPAN"
}

start_agents() {
  audio
  { echo SEQUENTIAL
    for ((i = 1; i <= PBX_AGENTS; i++)); do
      a=agent$((1000 + i)); echo "$a;[authentication username=$a password=$(agent_password $a)]"
    done
  } > "$PBX_RUN/sipp/agents.csv"
  sipp agents "$PBX_AGENTS_PORT" $((PBX_SIPP_RTP_FIRST + PBX_SIPP_RTP_COUNT)) -sf "$here/sipp/agents.xml" \
    -key voice "$PBX_RUN/sipp/agent.al" -set answer_min "$AGENT_ANSWER_MIN" -set answer_span "$AGENT_ANSWER_SPAN" \
    -set talk_min "$AGENT_TALK_MIN" -set talk_span "$AGENT_TALK_SPAN"
  "$here/agents.sh" on
}

cat > "$PBX_RUN/env" <<ENV
PBX_HOME=$PBX_HOME
PBX_RUN=$PBX_RUN
PBX_SIP_PORT=$PBX_SIP_PORT
PBX_HTTP_PORT=$PBX_HTTP_PORT
PBX_AMI=$PBX_AMI
PBX_AMI_PORT=$PBX_AMI_PORT
PBX_RTP_FIRST=$PBX_RTP_FIRST
PBX_RTP_LAST=$PBX_RTP_LAST
PBX_SIPP_RTP_FIRST=$PBX_SIPP_RTP_FIRST
PBX_SIPP_RTP_COUNT=$PBX_SIPP_RTP_COUNT
PBX_CALLEES_PORT=$PBX_CALLEES_PORT
PBX_AGENTS_PORT=$PBX_AGENTS_PORT
PBX_AGENTS=$PBX_AGENTS
PBX_TRUNK_LINES=$PBX_TRUNK_LINES
ARI_URL=http://127.0.0.1:$PBX_HTTP_PORT/ari
ARI_USER=dialer
ARI_PASSWORD=$ARI_PASSWORD
AMI_USER=dialer
AMI_PASSWORD=$AMI_PASSWORD
ENV
begin() {
  local part until
  for part in "$@"; do
    case $part in
      pbx|customers|agents) "start_$part" ;;
      *) die "pbx, customers or agents, not '$part'" ;;
    esac
  done
  # the trunk counts as reachable at once, not only when the next check is due
  if running pbx >/dev/null && running customers >/dev/null; then
    until=$((SECONDS + PBX_PATIENCE))
    until cli "pjsip show contacts" 2>/dev/null | grep -q 'trunk/.* Avail'; do
      [ $SECONDS -lt $until ] || die "the trunk was not reachable in $PBX_PATIENCE s"
      cli "pjsip qualify trunk" >/dev/null 2>&1 || true
      sleep 0.2
    done
  fi
  own
}

if [ -z "$keep" ]; then begin "${parts[@]}"; exit; fi
trap '"$here/stop.sh"' EXIT
trap 'exit 0' TERM INT HUP
begin "${parts[@]}"
echo done
while read -r order about; do
  # shellcheck disable=SC2086  # words
  case $order in
    start) begin $about ;;
    stop) "$here/stop.sh" $about ;;
    agents) "$here/agents.sh" $about ;;
    *) die "start, stop or agents, not '$order'" ;;
  esac
  echo done
done
