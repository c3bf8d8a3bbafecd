"""What in a customer's words is for a person at once: anger at the service, a threat of the law, danger, and that
nobody has helped so far. An ordinary complaint is none of these, and gets an answer."""

import re

from apps.service.replies.grounding.numerals import plain

# The insult must be meant for us: "a terrible headache" and "the worst part is the zip" are not.
_ANGER = re.compile(
    r"\b(?:furious|outraged|livid|fed up|sick (?:and tired )?of|had enough|disgusted|fuck(?:ing|ed|er)?|bullshit|wtf|"
    r"go to hell|screw you|ripped me off|rip-?off)\b"
    r"|\byou(?: people| guys| all)?(?:'re| are)\b[^.!?]{0,30}\b(?:liars?|thie(?:f|ves)|crooks?|criminals?|scammers?|"
    r"fraudsters?|cheats?|idiots?|incompetent|useless|a joke|pathetic|disgusting|shameless)\b"
    r"|\byour?\b[^.!?]{0,30}\b(?:service|support|company|shop|store|staff|team|bank)\b[^.!?]{0,20}\b(?:is|are|was)\b"
    r"[^.!?]{0,20}\b(?:a joke|a disgrace|a scam|garbage|trash|crap|shit|pathetic|disgusting|terrible|horrible|awful|"
    r"useless|incompetent|appalling)\b"
    r"|\bworst\b[^.!?]{0,20}\b(?:service|support|company|shop|store|experience|bank)\b"
    r"|\b(?:this|it|that)(?:'s| is)\b[^.!?]{0,20}\b(?:unacceptable|outrageous|a disgrace|disgraceful|a scam|fraud|"
    r"theft|robbery|beyond a joke)\b"
    r"|\bnever\b[^.!?]{0,15}\b(?:buy|order|shop|come back|deal)\b[^.!?]{0,20}\b(?:again|from you|with you|here)\b"
    r"|\b(?:shame on you|how dare you)\b",
    re.IGNORECASE,
)
_CHINESE_ANGER = re.compile(
    r"骗子|骗人|黑心|奸商|垃圾(?:公司|客服|服务|店|平台|商家)|气死|太过分|忍无可忍|受够了|不要脸|他妈|妈的|去死|滚蛋|"
    r"再也不(?:会)?(?:来|买|用)|什么(?:破|烂|垃圾)(?:店|服务|客服|公司|平台)|投诉你们|我要投诉"
)
_LAW = re.compile(
    r"\b(?:lawyers?|attorneys?|solicitors?|sue|suing|lawsuit|litigation|legal (?:action|steps|proceedings)|"
    r"take (?:you|this|it) to court|see you in court|small claims|ombudsman|trading standards|consumer protection|"
    r"better business bureau|data protection (?:authority|agency)|chargeback|press charges|"
    r"(?:call|go to|report (?:you|this|it) to|tell) the (?:police|press|media|authorities))\b",
    re.IGNORECASE,
)
_CHINESE_LAW = re.compile(r"律师|起诉|告你们|上法院|法庭|12315|消协|消费者协会|工商局|市监局|报警|曝光你们|找媒体")
_DANGER = re.compile(
    r"\b(?:caught fire|on fire|in flames|smoking and|smoke (?:came|comes|is coming)|exploded|explosion|"
    r"electric(?:al)? shock|electrocuted|got burn(?:ed|t)|burn(?:ed|t) (?:my|his|her|our|the)|injur(?:ed|y)|bleeding|"
    r"poison(?:ed|ing)|allergic (?:reaction|shock)|chok(?:ed|ing)|in (?:the )?hospital|ambulance|"
    r"kill (?:myself|himself|herself)|suicid(?:e|al)|hurt myself|end my life|"
    r"(?:card|account|phone|wallet|identity|password)\b[^.!?]{0,25}\b(?:stolen|hacked|compromised|cloned)|"
    r"(?:stole|hacked)\b[^.!?]{0,15}\b(?:my|our)\b[^.!?]{0,15}\b(?:card|account|phone|wallet|identity)|"
    r"unauthori[sz]ed|fraudulent (?:charges?|payments?|transactions?|transfers?))\b",
    re.IGNORECASE,
)
_CHINESE_DANGER = re.compile(
    r"着火|起火|冒烟|爆炸|触电|漏电|烫伤|烧伤|受伤|流血|中毒|过敏反应|住院|急诊|自杀|不想活|被盗|盗刷|被黑了"
)
_REPEATED = re.compile(
    r"\b(?:third|fourth|fifth|sixth|tenth|umpteenth|\d+(?:rd|th)) (?:time|message|mail|e-?mail|call)\b"
    r"|\b(?:asked|told|written|wrote|called|contacted|mailed|e-?mailed|messaged|explained)\b[^.!?]{0,30}"
    r"\b(?:(?:three|four|five|six|ten|several|many|countless|[3-9]|\d\d+) times|again and again|over and over)\b"
    r"|\b(?:nobody|no one|no-one)\b[^.!?]{0,15}\b(?:answers?|answered|repl(?:y|ies|ied)|responds?|responded|helps?|"
    r"helped|cares?|got back)\b"
    r"|\b(?:still|yet) (?:no|without an?y?) (?:answer|reply|response)\b|\b(?:keep|kept) ignoring\b",
    re.IGNORECASE,
)
_CHINESE_REPEATED = re.compile(
    r"(?:说|问|联系|打|反映|催)了?(?:[三四五六七八九十几多无]|好几|无数|[3-9]|\d\d+)(?:数)?(?:次|遍)|"
    r"第[三四五六七八九十]次|(?:没有?|无)人(?:理|回复|处理|管)|一直(?:不|没)(?:回复|处理|解决|人理)"
)
ALARMS = (
    ("danger", "somebody may be in danger, or an account in other hands", (_DANGER, _CHINESE_DANGER)),
    ("legal_threat", "the customer speaks of the law or of the authorities", (_LAW, _CHINESE_LAW)),
    ("upset", "the customer is angry with the service", (_ANGER, _CHINESE_ANGER)),
    ("repeated_contact", "the customer has asked before, and nobody has helped", (_REPEATED, _CHINESE_REPEATED)),
)
ALARM_CODES = frozenset(code for code, _, _ in ALARMS)


def alarms_of(text: str) -> list[tuple[str, str]]:
    """(code, reason) of each alarm that the text raises, the gravest first."""
    read = plain(text).replace("’", "'")
    return [(code, reason) for code, reason, patterns in ALARMS if any(each.search(read) for each in patterns)]
