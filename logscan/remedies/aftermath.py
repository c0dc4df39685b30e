"""The steps around a combined change, and the way back: whom to tell, what must be empty, how to check and to reload."""

from __future__ import annotations

import shlex

from logscan.findings import Need
from logscan.plans import Patch, Step
from logscan.remedies.mappings import outer_services
from logscan.settings import Settings

FILES = {"postfix": "logscan-postfix.patch", "dovecot": "logscan-dovecot.patch"}
"""What the commands call the patches."""


def steps_of(
    settings: Settings, after: Settings, patches: tuple[Patch, ...], needs: tuple[Need, ...], checks: list[str]
) -> tuple[Step, ...]:
    """Return the steps in their order."""
    programs = {each.program for each in patches}
    steps = [_save(patches)]
    if "users" in needs:
        steps.append(_tell(settings, after))
    stopped = bool({"empty-queue", "restart"} & set(needs))
    if "empty-queue" in needs:
        steps.append(_empty(settings))
    if "postfix" in programs:
        if stopped:
            steps.append(_stop(settings, "empty-queue" in needs))
        steps.append(_apply("postfix", "in Postfix's configuration folder", '"$(postconf -h config_directory)"'))
        steps.append(
            Step(
                "check", "See that Postfix reads it. Nothing may be said.", ("postfix check", "postconf -n > /dev/null")
            )
        )
        steps.append(_go(stopped))
    if "dovecot" in programs:
        files = ", ".join(each.file for each in patches if each.program == "dovecot")
        steps.append(_apply("dovecot", f"in the folder where {files} lies", dovecot_folder(patches)))
        said = "See that Dovecot reads it, and reload. Sessions that are open keep the old settings until they end."
        steps.append(Step("reload", said, ("doveconf > /dev/null", "doveadm reload")))
    steps.append(_verify(checks))
    return tuple(steps)


def undo_of(patches: tuple[Patch, ...], needs: tuple[Need, ...]) -> tuple[Step, ...]:
    """Return how to take the change back."""
    steps: list[Step] = []
    programs = {each.program for each in patches}
    if "empty-queue" in needs:
        said = "Empty the queue first in the same way: mail that is in it would have its aliases expanded twice."
        steps.append(Step("empty", said, ()))
    if "postfix" in programs:
        stopped = bool({"empty-queue", "restart"} & set(needs))
        commands = ['cd "$(postconf -h config_directory)"', *_patch("-R", "postfix"), "postfix check"]
        commands += ["postfix start"] if stopped else ["postfix reload"]
        said = "Postfix: take the patch back, in the same folder."
        steps.append(Step("undo", said, (*(["postfix stop"] if stopped else []), *commands)))
    if "dovecot" in programs:
        commands = [f"cd {dovecot_folder(patches)}", *_patch("-R", "dovecot"), "doveconf > /dev/null", "doveadm reload"]
        steps.append(Step("undo", "Dovecot: take the patch back, in the same folder.", tuple(commands)))
    return tuple(steps)


def dovecot_folder(patches: tuple[Patch, ...]) -> str:
    """Return where Dovecot's file usually lies: packages keep dovecot.conf apart from what it includes."""
    names = {each.file for each in patches if each.program == "dovecot"}
    return "/etc/dovecot" if any(name.startswith("dovecot") for name in names) else "/etc/dovecot/conf.d"


def _save(patches: tuple[Patch, ...]) -> Step:
    files = [f"/root/{FILES[each]}" for each in dict.fromkeys(patch.program for patch in patches)]
    programs = {patch.program for patch in patches}
    commands = ["mkdir -p /root/logscan-before"]
    if "postfix" in programs:
        commands.append('cp -p "$(postconf -h config_directory)"/*.cf /root/logscan-before/')
    if "dovecot" in programs:
        commands.append(f"cp -p {dovecot_folder(patches)}/*.conf /root/logscan-before/")
    return Step(
        "save",
        f"Save the patch of each program as it is printed: {' and '.join(files)}. It was made for the configuration given; "
        "on a server whose files differ by now patch says so, and nothing is changed (--dry-run). Keep a copy of the files:",
        tuple(commands),
    )


def _tell(settings: Settings, after: Settings) -> Step:
    lines = [each.service.key for each in after.listeners_on(25) if not each.sasl]
    had = {each.address for each in settings.listeners_on(25) if each.sasl}
    changed = [name for name in lines if had]
    allow = tuple(f"postconf -P {shlex.quote(f'{name}/smtpd_sasl_auth_enable=yes')}" for name in changed)
    return Step(
        "tell",
        "Tell the users who log in on port 25 (their letters stand with their findings), and wait until the finding "
        "authenticated-port-25 is gone: from the change on they can't send there. If the rest shall not wait, allow it "
        "again for the time being, right after the patch, with (this rewrites the line: patch -R no longer fits, the copy does):",
        allow,
    )


def _empty(settings: Settings) -> Step:
    front = [each for each in settings.filtered() if settings.mapping(each).off]
    stopped = " ".join(outer_services(settings, front))
    flush, said = "until postqueue -f; do sleep 1; done", ""
    if any(each.startswith("pickup") for each in stopped.split()):
        # It wakes the queue manager first, then pickup; without the second it ends with an error (Postfix postqueue.c).
        flush = "postqueue -f || true"
        said = " postqueue says that the mail system is down, since pickup is stopped: it has flushed the queue all the same."
    return Step(
        "empty",
        "Empty the queue: what is in it came in with its aliases unexpanded, would be handed back so, and bounce. Stop the "
        "outer services by their names, not all of inet: the filter must be able to hand mail back, or the queue never "
        "empties. Other servers wait meanwhile and try again. Go on when mailq says that the queue is empty; mail that "
        f"waits only for another server has passed the filter and does no harm.{said}",
        (
            f"postconf -e {shlex.quote(f'master_service_disable = {stopped}')}",
            # Not a reload: the queue manager that is about to end would take the flush, and its successor sleeps for minutes.
            "postfix stop",
            "postfix start",
            flush,
            "mailq",
        ),
    )


def _stop(settings: Settings, emptied: bool) -> Step:
    held = settings.postfix.fact("master_service_disable")
    back = (
        f"postconf -e {shlex.quote(f'master_service_disable = {held.value}')}"
        if held
        else "postconf -X master_service_disable"
    )
    said = "Stop Postfix, so that nothing comes in between"
    if emptied:
        return Step("stop", f"{said}, and take back what stopped the outer services.", ("postfix stop", back))
    return Step("stop", f"{said}: a reload can't take over addresses that are bound already.", ("postfix stop",))


def _apply(program: str, where: str, folder: str) -> Step:
    text = f"Make the change, {where}."
    return Step("change", text, (f"cd {folder}", *_patch("", program)))


def _patch(option: str, program: str) -> tuple[str, ...]:
    words = " ".join(filter(None, ("patch -p0", option)))
    file = f"/root/{FILES[program]}"
    return f"{words} --dry-run < {file}", f"{words} < {file}"


def _go(stopped: bool) -> Step:
    if stopped:
        return Step("start", "Start Postfix.", ("postfix start",))
    return Step("reload", "Put it in force.", ("postfix reload",))


def _verify(checks: list[str]) -> Step:
    options = " ".join(f"--check {each}" for each in checks)
    text = (
        "Send yourself a mail on each way that was changed, wait for some traffic, and look at what was logged since: "
    )
    text += "nothing of this may be found again."
    return Step("verify", text, (f"logscan analyse --since -1h {options}".rstrip(),))
