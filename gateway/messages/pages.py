"""The help pages: the text of each verb.

A text is printed line by line as it stands here, so a line has at most 76 columns (a
Chinese character takes two). It says what a person gets, shows how, and where to go next.
"""

from __future__ import annotations

from typing import Final

TEXTS: Final[dict[str, tuple[str, str]]] = {
    "help": (
        """\
tidegate reads PLCs and DCSs over Modbus TCP and OPC UA, keeps every reading
on its own disk, and delivers it to a platform over MQTT. It cannot write to
a device.

Examples:
  tidegate demo                       see it work, nothing to set up
  tidegate init                       a commented file to begin with
  tidegate check -c gateway.yaml      find mistakes before going on site
  tidegate probe -c gateway.yaml      read every tag once
  tidegate run -c gateway.yaml        run the agent

`tidegate VERB --help` says what a verb does, with examples.
Exit codes: 0 done, 1 failed, 2 wrong usage, 69 unreachable, 78 wrong
configuration.""",
        """\
tidegate 通过 Modbus TCP 和 OPC UA 读取 PLC 和 DCS，把每个读数保存在本机
磁盘上，再经 MQTT 送达平台。它不会向设备写入任何内容。

示例：
  tidegate demo                       无需任何准备，先看效果
  tidegate init                       生成带注释的起始配置
  tidegate check -c gateway.yaml      去现场之前先找出错误
  tidegate probe -c gateway.yaml      每个点位读取一次
  tidegate run -c gateway.yaml        运行网关

`tidegate 子命令 --help` 给出该子命令的说明和示例。
退出码：0 完成，1 失败，2 用法错误，69 不可达，78 配置错误。""",
    ),
    "help_init": (
        """\
Write a commented starter file; one that is there is never touched.

Example:
  tidegate init --out gateway.yaml

Next: edit it, then `tidegate check -c gateway.yaml`.
Exit code 0: written. 1: it is there already, or cannot be written.""",
        """\
生成带注释的起始配置文件；已存在的文件不会被改动。

示例：
  tidegate init --out gateway.yaml

下一步：编辑该文件，然后运行 `tidegate check -c gateway.yaml`。
退出码 0：已写入。1：文件已存在，或无法写入。""",
    ),
    "help_run": (
        """\
Poll, journal and deliver until SIGTERM; SIGHUP applies a changed
configuration. Logs go to stderr.

Example:
  tidegate run -c gateway.yaml

First: `tidegate check` and `tidegate probe`. While it runs: `tidegate tap`
shows what is delivered, `tidegate journal stat` what is on disk.
Exit code 0: stopped in order. 78: the configuration is wrong, and nothing
was opened. 1: the journal cannot be used.""",
        """\
持续采集、落盘并送达，直到收到 SIGTERM；收到 SIGHUP 时应用修改后的配置。
运行日志输出到标准错误。

示例：
  tidegate run -c gateway.yaml

运行前：`tidegate check` 和 `tidegate probe`。运行中：`tidegate tap` 查看
已送达的数据，`tidegate journal stat` 查看磁盘上的数据。
退出码 0：正常停止。78：配置有误，未打开任何资源。1：无法使用本地日志缓存。""",
    ),
    "help_check": (
        """\
Read the configuration and name every mistake in it, with line, column and
remedy. Nothing is connected and no secret is read.

Examples:
  tidegate check -c gateway.yaml
  tidegate check -c gateway.yaml --format json | jq .problems

Next: `tidegate plan`, then `tidegate probe`.
Exit code 0: good. 78: mistakes.""",
        """\
读取配置并列出其中所有错误，给出行、列和改正方法。不连接任何设备，也不读取
机密。

示例：
  tidegate check -c gateway.yaml
  tidegate check -c gateway.yaml --format json | jq .problems

下一步：`tidegate plan`，然后 `tidegate probe`。
退出码 0：没有错误。78：有错误。""",
    ),
    "help_plan": (
        """\
Show what will be asked of which device, and whether it can work: requests,
bus time against the interval, bytes in the journal, hours of buffer and
wear of the flash. Nothing is connected.

Examples:
  tidegate plan -c gateway.yaml
  tidegate plan -c gateway.yaml --round-trip 60    behind a slow radio
  tidegate plan -c gateway.yaml --format json | jq .journal

Next: `tidegate probe` reads every tag once.
Exit code 0: it fits. 78: the configuration is wrong, or a link would need
more time than there is.""",
        """\
显示将向哪些设备请求什么，以及是否可行：请求数、总线时间与周期之比、缓存
字节数、断网可保存的小时数和闪存磨损。不连接任何设备。

示例：
  tidegate plan -c gateway.yaml
  tidegate plan -c gateway.yaml --round-trip 60    经慢速电台连接
  tidegate plan -c gateway.yaml --format json | jq .journal

下一步：用 `tidegate probe` 把每个点位读取一次。
退出码 0：可行。78：配置有误，或某条链路所需时间超过可用时间。""",
    ),
    "help_probe": (
        """\
Connect, read every tag once, and show what came. Nothing is published and
no journal is opened; the agent may run meanwhile if the devices take one
more connection. A device that does not answer shows why, and the rest
still comes.

Examples:
  tidegate probe -c gateway.yaml              everything
  tidegate probe tank-farm                    one link
  tidegate probe tank-farm/tk101/level        one tag
  tidegate probe --format json | jq '.readings[] | select(.quality!="good")'

Next: `tidegate run`.
Exit code 0: something answered. 2: no such name. 69: nothing could be
reached.""",
        """\
连接设备，每个点位读取一次并显示结果。不发布数据，也不打开本地日志缓存；
若设备允许多一个连接，网关可同时运行。没有应答的设备会说明原因，其余设备
照常读取。

示例：
  tidegate probe -c gateway.yaml              全部
  tidegate probe tank-farm                    一条链路
  tidegate probe tank-farm/tk101/level        一个点位
  tidegate probe --format json | jq '.readings[] | select(.quality!="good")'

下一步：`tidegate run`。
退出码 0：有设备应答。2：没有此名称。69：没有任何设备可达。""",
    ),
    "help_simulate": (
        """\
Serve the very devices of a configuration, with waves for values, over the
real protocol and on 127.0.0.1 only. A link whose url is a loopback address
is served at that address, any other at a free port. While it runs, write to
its standard input what shall go wrong:

  timeout tk101      tk101 gives no answer
  late tk101         it answers after the timeout
  exception tk101    it refuses every request
  frozen tk101       its values stand still
  heal tk101         all is well again

With --out, invented values can reach no platform: the written configuration
has a broker on this machine, a journal of its own, and `-sim` behind the
gateway's id.

Examples:
  tidegate simulate -c gateway.yaml
  tidegate simulate -c gateway.yaml --out simulated.yaml

Next: `tidegate run -c simulated.yaml` in another terminal.""",
        """\
模拟配置中的每台设备，数值为波形，使用真实协议，只监听 127.0.0.1。url 为
本机地址的链路使用该地址，其余使用空闲端口。运行期间可向标准输入写入故障：

  timeout tk101      tk101 不应答
  late tk101         超时之后才应答
  exception tk101    拒绝每个请求
  frozen tk101       数值不再变化
  heal tk101         恢复正常

使用 --out 时，虚构的数值不会到达任何平台：写出的配置使用本机的代理服务器、
独立的本地日志缓存，网关 id 后加 `-sim`。

示例：
  tidegate simulate -c gateway.yaml
  tidegate simulate -c gateway.yaml --out simulated.yaml

下一步：在另一个终端运行 `tidegate run -c simulated.yaml`。""",
    ),
    "help_demo": (
        """\
Simulated PLCs, a loopback broker, the agent and a live view of what
arrives. Everything but the physics is real: Modbus TCP and MQTT over
sockets on 127.0.0.1, and a journal on disk. On a terminal, keys break
things: b stops and starts the broker, f freezes a PLC, d delays its
answers, s silences one, q ends. Without a terminal there is one line per
second. The last line counts what the platform's side saw.

Examples:
  tidegate demo
  tidegate demo --seconds 20 | tail -1

Next: `tidegate init` writes a file for devices of your own.
Exit code 0: nothing was lost. 1: something was, or nothing arrived within
10 s.""",
        """\
模拟的 PLC、本机代理服务器、网关，以及平台侧收到内容的实时画面。除物理过程
外一切都是真的：127.0.0.1 上的 Modbus TCP 和 MQTT 套接字，磁盘上的日志
缓存。在终端中可按键制造故障：b 停止或启动代理，f 冻结一台 PLC，d 延迟其
应答，s 使一台静默，q 退出。不在终端中时每秒输出一行。最后一行统计平台侧
收到的内容。

示例：
  tidegate demo
  tidegate demo --seconds 20 | tail -1

下一步：用 `tidegate init` 为自己的设备生成配置文件。
退出码 0：没有丢失。1：有丢失，或 10 秒内没有数据到达。""",
    ),
    "help_tap": (
        """\
Listen on the platform's side of the broker and print every record.

Without URL, the brokers, root and credentials of the configuration are
used, and only its gateway is heard; with URL, every gateway under the root.
It has a client id of its own, so it never takes over a session.

To the broker it is a subscriber like any other. While the platform is away
and tap is not, the broker says of each record that it was delivered, and
the agent believes it.

Examples:
  tidegate tap -c gateway.yaml                 what this gateway delivers
  tidegate tap mqtt://127.0.0.1:1883 --check   is anything missing?
  tidegate tap --check --seconds 60 >/dev/null the same as a test
  tidegate tap --format json | jq .values

Next, when something is missing: `tidegate journal stat`.
Exit code 0: ended, nothing missing. 1: --check found loss. 69: no broker
could be reached.""",
        """\
在代理服务器的平台一侧监听，并输出每条记录。

不给出 URL 时，使用配置中的代理服务器、根主题和凭据，只接收该网关的数据；
给出 URL 时，接收根主题下所有网关的数据。它使用自己的客户端标识，不会顶替
任何会话。

对代理服务器而言它与其他订阅者无异。若平台离线而 tap 在线，代理服务器会把
每条记录报告为已送达，网关也会相信。

示例：
  tidegate tap -c gateway.yaml                 本网关送达的内容
  tidegate tap mqtt://127.0.0.1:1883 --check   有无缺失？
  tidegate tap --check --seconds 60 >/dev/null 作为测试使用
  tidegate tap --format json | jq .values

如有缺失，下一步：`tidegate journal stat`。
退出码 0：结束，无缺失。1：--check 发现缺失。69：无法连接任何代理服务器。""",
    ),
    "help_journal": (
        """\
Look at the journal on disk. The agent may be running; nothing is changed.

Examples:
  tidegate journal stat -c gateway.yaml
  tidegate journal export --device tk101 > tk101.jsonl

`tidegate journal VERB --help` says more.""",
        """\
查看磁盘上的本地日志缓存。网关可以同时运行；不会改动任何内容。

示例：
  tidegate journal stat -c gateway.yaml
  tidegate journal export --device tk101 > tk101.jsonl

详见 `tidegate journal 子命令 --help`。""",
    ),
    "help_journal_stat": (
        """\
Say what each lane holds, how much of it is not delivered, and what was
given up.

Examples:
  tidegate journal stat -c gateway.yaml
  tidegate journal stat --path /var/lib/tidegate/journal

Next: `tidegate journal verify` checks it, `tidegate journal export` prints
it.""",
        """\
说明每个通道存了什么，多少尚未送达，放弃了什么。

示例：
  tidegate journal stat -c gateway.yaml
  tidegate journal stat --path /var/lib/tidegate/journal

下一步：用 `tidegate journal verify` 校验，用 `tidegate journal export` 输出。""",
    ),
    "help_journal_verify": (
        """\
Read every record on disk and check it; each damaged place is named.

Example:
  tidegate journal verify -c gateway.yaml

Next, when something is damaged: let the agent run on. It delivers a gap in
place of what cannot be read, and moves what is beyond reading to
quarantine/.
Exit code 0: whole. 1: damaged.""",
        """\
读取并校验磁盘上的每条记录，指出每一处损坏。

示例：
  tidegate journal verify -c gateway.yaml

如有损坏，下一步：让网关继续运行。它会以缺口记录代替无法读取的内容，并把
完全无法读取的文件移入 quarantine/。
退出码 0：完好。1：有损坏。""",
    ),
    "help_journal_export": (
        """\
Print the records on disk, delivered ones too, as one JSON object a line.

Examples:
  tidegate journal export --device tk101 --since 2026-11-22T03:00:00Z
  tidegate journal export --lane alarm | jq .alarm

Next, when some could not be read: `tidegate journal verify`.
Exit code 0: all printed. 1: some could not be read.""",
        """\
输出磁盘上的记录（包括已送达的），每行一个 JSON 对象。

示例：
  tidegate journal export --device tk101 --since 2026-11-22T03:00:00Z
  tidegate journal export --lane alarm | jq .alarm

如有无法读取的记录，下一步：`tidegate journal verify`。
退出码 0：全部输出。1：有记录无法读取。""",
    ),
    "help_schema": (
        """\
Print the JSON Schema of the configuration, with the keys of all installed
drivers, so that an editor completes keys and marks mistakes.

Examples:
  tidegate schema > gateway.schema.json
  tidegate schema --format markdown | less

Next: begin a file with
  # yaml-language-server: $schema=gateway.schema.json""",
        """\
输出配置的 JSON Schema，包括所有已安装驱动的键，使编辑器能够补全键名并标出
错误。

示例：
  tidegate schema > gateway.schema.json
  tidegate schema --format markdown | less

下一步：在配置文件的开头写
  # yaml-language-server: $schema=gateway.schema.json""",
    ),
    "help_version": (
        """\
Print the versions of tidegate and of what it stands on, for a report.

Example:
  tidegate version""",
        """\
显示 tidegate 及其所依赖组件的版本，供报告问题时使用。

示例：
  tidegate version""",
    ),
}
