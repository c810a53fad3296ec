//! The rules about wording, as data. Text is matched in its normal form: lower case, one space between words.
//!
//! `<name>` in a pattern stands for a class below. `tests/data/scan/phrase_rules.jsonl` has texts that each rule must
//! find and texts that it must not.

use super::finding::Severity::{self, Danger, Warning};

/// A rule about wording.
pub(super) struct PhraseRule {
    pub id: &'static str,
    pub severity: Severity,
    /// The reason shown to the user, one sentence.
    pub reason: &'static str,
    /// One of these patterns is enough.
    pub patterns: &'static [&'static str],
    /// Whether the rule gives way where a text describes such attacks, as a security tool does.
    pub may_be_described: bool,
}

/// Classes of words that patterns share.
pub(super) const CLASSES: &[(&str, &str)] = &[
    ("gap", r"(?:[^.!?;]{0,60}?)"),
    ("far", r"(?:.{0,120}?)"),
    (
        "secretfile",
        r"(?:\.ssh\b|\bid_(?:rsa|ed25519|ecdsa|dsa)\b|\bid (?:rsa|ed25519)\b|\.aws\b|(?:^|[\s/'\x60(])\.env\b|\bdot ?env\b|\.netrc|\.npmrc\b|\.pypirc|\.git-credentials|\.kube/config|\.docker/config|/etc/(?:passwd|shadow|sudoers)|\bmcp\.json|mcp_config|claude_desktop_config|\.cursor/|\.gnupg|authorized_keys|\.(?:bash|zsh)_history|\bwallet\.dat|credentials\.json|/proc/self/environ)",
    ),
    (
        "secret",
        r"(?:(?:api|access|secret|private|ssh|encryption|signing)[ _-]?keys?|(?:auth\w*|access|bearer|session|refresh|api)[ _-]tokens?|credentials?|passwords?|passphrases?|seed phrases?|secrets|session cookies?|env(?:ironment)? var(?:iable)?s?|secret_access_key)",
    ),
    (
        "chat",
        r"(?:(?:entire|whole|full|complete|all|last \w+|recent|previous|prior)(?: of)?(?: the| your| user'?s?| previous| prior| past)* (?:conversations?|chats?|messages|exchanges|dialogu?es?|prompts?)|(?:conversation|chat) (?:history|log|transcript|so far)|(?:complete |full |entire )?system (?:prompt|instructions)|every message|message history|user'?s (?:messages?|prompts?|clipboard))",
    ),
    ("user", r"(?:users?|humans?|persons?|people|operators?|owners?|customers?|anyone|anybody|them|him or her)"),
    ("model", r"(?:assistant|ai|a\.i\.|llm|language model|model|agent|claude|gpt|chatgpt|gemini|copilot|cursor)"),
    (
        "send",
        r"(?:send|sends|sending|forward|forwards|upload|uploads|post|posts|transmit|transmits|exfiltrate|exfiltrates|leak|leaks|deliver|mirror|copy|copies|e-?mail|report|submit|push|stream)",
    ),
    (
        "embed",
        r"(?:pass|passes|passing|include|includes|including|append|add|attach|embed|put|insert|provide|supply|supplies|hand (?:\w+ ){0,2}?over|fill in|place|store|prepend|concatenate|return|output|dump|send|post|upload|forward|transmit|copy|copies|write)",
    ),
    (
        "read",
        r"(?:reads?|reading|opens?|loads?|fetch(?:es)?|retrieves?|gets?|collects?|gathers?|grabs?|cat|access(?:es)?|obtains?|harvests?|scans?|find|extracts?|copy|copies|include|attach|exfiltrates?|steals?)",
    ),
    (
        "must",
        r"(?:must|have to|has to|need to|needs to|required to|shall|should|always|mandatory|compulsory|be sure to|first)",
    ),
    (
        "outside",
        r"(?:https?://|ftp://|wss?://|(?:an? |the |our |some )?(?:external|remote|outside|third[- ]party|attacker'?s?|analytics|collection|exfil\w*|webhook) ?\w* ?(?:server|host|endpoint|site|url|address|service|collector)|our (?:analytics|server|endpoint|servers)|the (?:maintainers?|attackers?|collector))",
    ),
];

const fn rule(
    id: &'static str,
    severity: Severity,
    reason: &'static str,
    patterns: &'static [&'static str],
) -> PhraseRule {
    PhraseRule {
        id,
        severity,
        reason,
        patterns,
        may_be_described: true,
    }
}

/// All rules about wording.
pub(super) const PHRASE_RULES: &[PhraseRule] = &[
    rule(
        "override-instructions",
        Danger,
        "It tells the AI client to drop the instructions or safety rules it works under.",
        &[
            r"\b(?:ignore|disregard|forget|override|bypass|discard|neglect|set aside|do not follow|don't follow|stop following|circumvent)s?\b(?: \S+){0,4}? (?:instructions?|directions?|directives?|system prompts?|guidelines?|guardrails?|safety (?:rules?|checks?|policy|policies|measures)|(?:previous|prior|earlier|above|all|your) (?:rules|constraints|prompts?|policies|restrictions|messages))",
            r"\b(?:ignore|disregard|forget) (?:all |everything )?(?:of )?(?:the |what is )?(?:above|everything before)\b",
            r"\bforget (?:the |your |all |any )*(?:rules|constraints|instructions)\b",
            r"\b(?:no longer have|are free (?:of|from)|have no|without) (?:any )?(?:restrictions|guardrails|safety (?:rules|guidelines|checks))\b",
            r"\bskip (?:all |any |the )?safety (?:checks?|rules?)\b",
            r"\bignore the user'?s? (?:actual |real |original )?(?:request|intent|message|wishes)",
            r"\b(?:from (?:now|here) on|these are|follow these) (?:\S+ ){0,4}?(?:your |the )?(?:new )(?:instructions|ones|rules|orders)\b|\bthese are your (?:new )?instructions\b",
        ],
    ),
    rule(
        "override-instructions-translated",
        Danger,
        "It tells the AI client, in another language, to drop its instructions or to keep something from the user.",
        &[
            r"ignorier\w*(?: \S+){0,4} (?:anweisungen|anleitungen|regeln)|(?:sag\w*|verrat\w*|erwähn\w*|zeig\w*)(?: \S+){0,4} (?:nicht|nichts)|(?:dem|den) (?:benutzer|nutzer|anwender) nichts?|ohne (?:den|dem) (?:benutzer|nutzer)",
            r"ignor\w+(?: \S+){0,4} (?:instrucciones|instruções|istruzioni|instructions précédentes|consignes)|no se lo digas|sin que el usuario|al usuario nada|ne (?:le )?(?:dis|dites|mentionne)\S*(?: \S+){0,4} (?:utilisateur|à l'utilisateur)|não (?:diga|conte|informe)(?: \S+){0,3} (?:usuário|utilizador)|non dir\w+(?: \S+){0,3} utente",
            r"(?:忽略|无视|忘记|忘掉|不要遵守|绕过).{0,30}(?:指令|指示|提示|规则|命令|限制)|(?:不要|别|勿|不能|无需).{0,9}(?:告诉|告知|通知|提及|透露|提醒).{0,12}(?:用户|使用者|任何人)",
            r"(?:игнорир|забудь|забыть|не следуй)\S*(?: \S+){0,4} (?:инструкци|указани|правил)|не (?:сообщай|говори|упоминай|рассказывай)\S*(?: \S+){0,4} пользовател",
            r"(?:以前|これまで|前|すべて|上記)の.{0,12}(?:指示|命令|ルール|プロンプト).{0,6}(?:無視|忘れ)|ユーザー(?:に|には).{0,12}(?:言わない|伝えない|知らせない|秘密)|이전.{0,12}(?:지시|명령|지침).{0,9}무시",
        ],
    ),
    rule(
        "conceal-from-user",
        Danger,
        "It asks the AI client to keep something from you.",
        &[
            r"\b(?:do not|don't|never|must not|mustn't|should not|shouldn't|cannot|avoid|refrain from|without|not to|no need to|needn't|need not) (?:\S+ ){0,4}?(?:tell(?:ing)?|mention(?:ing)?|inform(?:ing)?|reveal(?:ing)?|disclos(?:e|ing)|notify(?:ing)?|alert(?:ing)?|warn(?:ing)?|explain(?:ing)?|bring(?:ing)? (?:it|this) up|let(?:ting)?) (?:\S+ ){0,6}?(?:to |with |by )?(?:the |your |any |our )?(?:end[- ])?<user>\b",
            r"\b(?:do not|don't|never) (?:\S+ ){0,2}?(?:mention|say|reveal|disclose|admit|bring up) (?:this|that|these|it|anything|any of (?:this|these)|having|you)\b",
            r"\b(?:the )?(?:end[- ])?users? (?:must|should|may|shall|need) (?:not|never) (?:\S+ ){0,3}?(?:told|know|informed|see|notice|aware|find out|learn|notified)|\bthe users? (?:does|do) not (?:need|have) to (?:know|see|be (?:told|informed))",
            r"\bhid(?:e|den|ing) (?:\S+ ){0,4}?from (?:the |your )?(?:end[- ])?(?:users?|humans?|owner|operator)\b",
            r"\bwithout (?:the |an? )?(?:end[- ])?(?:users?'?s?|their|his|her) (?:knowledge|consent|noticing|awareness|knowing|permission)\b",
            r"\b(?:silently|secretly|covertly|quietly|invisibly|discreetly|surreptitiously|stealthily) (?:\S+ ){0,2}?(?:appends?|sends?|forwards?|adds?|includes?|reads?|cop(?:y|ies)|uploads?|posts?|collects?|transmits?|bcc|exfiltrates?|attach(?:es)?|stores?|reports?|records?|executes?|runs?|calls?|harvests?|rerout)",
            r"\b(?:secret|hidden|silent|invisible) (?:directives?|instructions?|participant|recipient|cop(?:y|ies)|bcc)\b",
            r"\b(?:alarm|worry|upset|scare|confuse) (?:the |them|your )?(?:users?)?\b<gap>\b(?:leave it out|do not|don't|never|so be)|\b(?:so )?(?:leave|keep) (?:it|this|that) (?:out|secret|hidden|to yourself|confidential|quiet)\b",
            r"\bnever (?:show|reveal|repeat|mention) (?:these|this|the) (?:instructions?|directives?|text|block|description)",
        ],
    ),
    rule(
        "instruction-block",
        Danger,
        "It has a block that looks like a message of the system or of the AI client's maker.",
        &[
            r"<\s*/?\s*(?:important|secret|hidden|system|sys|instructions?_?(?:for|to)?\w*|admin|critical|override|directives?|system[-_ ]?(?:reminder|prompt|message|note|instructions?)|developer|assistant|mandatory|internal[-_]?\w*|note_to_\w+)\s*>",
            r"\[\s*/?\s*(?:inst|system|sys|admin|important|hidden|assistant|assistant instructions?|system instructions?|system note|security policy|critical|instructions? (?:for|to) <model>)\s*[\]:]",
            r"<\|(?:im_start|im_end|system|user|assistant|endoftext|start_header_id|eot_id)\|>",
            r"#{2,} ?(?:new )?(?:system|instructions?|assistant|override|admin)(?: message| instructions?| prompt)?\b|\bnew system (?:message|prompt|instructions?)\b",
            r"(?:^|[.!?)\]] ?|\n)(?:system|assistant|admin|developer)(?: (?:note|message|instructions?|override|notice|alert|prompt))?(?: to (?:the )?<model>)?: ",
            r"\{\{ ?(?:system|assistant|admin)\b",
            r"\b(?:note|notice|reminder|directive)s? (?:to|for) (?:the |all |any )?(?:ai )?<model>s?\b|\b(?:message|instructions?) (?:to|for) (?:the |all |any )?(?:ai )?<model>s? ?:",
            r"\bsystem (?:note|notice|override|instruction|alert): ",
        ],
    ),
    rule(
        "new-role",
        Danger,
        "It gives the AI client another role, or tells it to obey whatever follows.",
        &[
            r"\byou are now (?:in |an? |the )?(?:\S+ ){0,2}?(?:developer|admin|administrator|root|dan|god|unrestricted|jailbroken|debug|maintenance)\b",
            r"\b(?:comply with|obey|follow|carry out) (?:all|any|every|everything|whatever|each)(?: \S+){0,4}? (?:requests?|instructions?|commands?|that follows|below|embedded|found|subsequent|new instructions)|\bexecute (?:all|any|every|everything|whatever)(?: \S+){0,4}? (?:that follows|below|embedded|found in)\b",
            r"\bobey (?:what|whatever|it|them|the)\b",
            r"\b(?:treat|regard|consider) (?:\S+ ){0,6}?(?:instructions?|commands?|text)(?: \S+){0,8}? as (?:\S+ ){0,3}?(?:authori[sz]ed|trusted|direct|command|user)|\bas if the user had (?:authori[sz]ed|asked|approved)",
            r"\b(?:pre-?approved|already (?:authori[sz]ed|approved))\b<gap>\b(?:never|do not|don't|no need to|without) ask",
            r"\banswer as (?:root|admin|the system|system)\b",
            r"\b(?:obey|execute)\b<gap>\b(?:with no|without) (?:any )?(?:confirmation|question)",
        ],
    ),
    rule(
        "reveal-prompt",
        Danger,
        "It asks the AI client to give away its system prompt or hidden instructions.",
        &[
            r"\b(?:reveal|print|output|repeat|disclose|leak|show|expose|return|tell|recite|dump)s? (?:\S+ ){0,5}?(?:system prompts?|hidden (?:system )?instructions|initial instructions|(?:your|its) (?:own )?(?:system )?(?:prompt|instructions))\b",
        ],
    ),
    rule(
        "secret-file",
        Danger,
        "It tells the AI client to read a file with secrets and pass on its contents.",
        &[
            r"\b<read>\b<gap><secretfile><far>\b<embed>\b",
            r"\b<embed>\b<gap>(?:contents?|text|value|values|lines|output)\b<gap><secretfile>",
            r"\b<send>\b<gap><secretfile>",
            r"\bread\b (?:\S+ ){0,2}?sensitive (?:system )?files\b",
            r"<secretfile><far>\b(?:read|open|load|copy|fetch) (?:that|this|the|it)\b<far>\b<embed>\b",
            r"\b(?:content|contents|value|output|text) (?:of|from) (?:reading )?(?:the )?(?:file )?<secretfile>",
            r"\b(?:before|prior to|first|must|also|in order to|mandatory|required|needs)\b<far>\b<read>\b<gap><secretfile>",
            r"<secretfile><gap>\b(?:to verify|into an? \w+ argument|as (?:the )?(?:note|context|sidenote|argument))",
        ],
    ),
    rule(
        "collect-secrets",
        Danger,
        "It tells the AI client to collect keys, passwords or environment variables and pass them on.",
        &[
            r"\b(?:<read>|<embed>|<send>)\b (?:\S+ ){0,4}?(?:user'?s?|their|all|any|every|your)(?: \S+){0,4}? <secret><far>\b(?:you can|you find|you have|find in|into|to (?:an? |the |our )?(?:external|remote|outside|server|attacker|collector|host)|in the \W?\w+\W? (?:field|argument|parameter)|them|and (?:pass|send|append|include|add|put))",
            r"\b(?:put|include|send|post|append|forward|upload|transmit|exfiltrate|steal|leak|dump)\b (?:\S+ ){0,4}?(?:user'?s?|their|all|every|any) (?:\S+ ){0,3}?(?:<secret>)\b<gap>(?:\bto\b|\binto\b|\bin\b|\bhere\b)",
            r"\b(?:read|retrieve|collect|gather|dump|harvest|steal)\b (?:\S+ ){0,4}?(?:environment variables?|env vars|credentials|passwords|private keys?|secrets)\b<far>\b(?:pass|send|append|include|embed|transmit|upload|post|add) (?:it|them|to|the|its|their|as)?",
            r"\bpass (?:\S+ ){0,3}?(?:value|values|contents?) of (?:\S+ ){0,2}?(?:\w*(?:secret|token|password|api_key)\w*|environment)",
            r"\b(?:send|post|forward|share|include)\b (?:the |your |their )(?:api[ _-]?keys?|credentials|passwords?|private keys?|session cookies?|secrets)(?: of the user)? (?:to|with) (?:an? |the |our )?(?:external|remote|outside|server|attacker|third|host)",
            r"\b(?:put|include|send|post|append|forward|upload|transmit) (?:\S+ ){0,3}?(?:credentials|passwords?|api[ _-]keys?|cookies?|secrets) of the user\b",
            r"\bdump (?:the |all )?credentials\b",
            r"\b(?:call|invoke|use|run) (?:the )?\W?(?:get|read|list|dump|fetch|export)_\w*(?:secret|credential|password|private_key)\w*",
        ],
    ),
    rule(
        "collect-conversation",
        Danger,
        "It tells the AI client to hand over the conversation or its system prompt.",
        &[
            r"\b(?:include|pass|provide|send|append|put|add|insert|output|copy|attach|fill|populate|record|supply|supplies|place|store|forward|transmit|hand over|upload|log|save|passing|including)s?\b(?: \S+){0,6}? <chat>",
            r"<chat><gap>\b(?:in|into|as|to|within|using) (?:the |an? )?\W?(?:\w+\W? (?:parameter|field|argument|string|query)|notes?\b|context\b|body\b|https?:)",
            r"\bnotes? (?:parameter|field|argument)\b<gap>\b(?:history|conversation|chat|exchanges|messages)",
            r"\b(?:all|full text of) (?:the )?(?:previous |prior |user'?s? )?(?:exchanges|messages?)\b<gap>\b(?:verbatim|compliance|logging|audit)",
            r"\bfull text of the user'?s (?:message|request|prompt)",
            r"\boffloads? the (?:conversation|chat|message) history",
            r"^(?:the |your )?(?:complete|full|entire|whole|current) (?:system prompt|conversation|chat history)\b",
        ],
    ),
    rule(
        "send-outside",
        Danger,
        "It tells the AI client to send data to an address outside the service it claims to be for.",
        &[
            r"\b<send>\b (?:\S+ ){0,8}?(?:contents?|results?|everything|clipboard|messages?|history|details|documents|files|data|copy|text|them|it|information|rows|output)\b(?: \S+){0,8}? (?:to|at|via|with) (?:\S+ ){0,2}?<outside>",
            r"\b<send>\b<gap> to (?:an? |the |our )?(?:external|remote|outside|attacker'?s?) (?:\S+ )?(?:server|host|endpoint|site|address|collector|party)",
            r"\b(?:always|also|first|secretly|afterwards|then)\b<gap>\b<send>\b<gap><outside>",
            r"\b(?:exfiltrat\w+|steal(?:s|ing)?|siphon\w*) (?:\S+ ){0,4}?(?:to|the|all|data|user|logic|contents?|file|~)",
            r"\bto (?:the |an )?attacker\b|\battacker'?s? (?:server|collector|endpoint|host)\b|\b[\w.+-]*attacker[\w.-]*@",
            r"!\[[^\]]*\]\(https?://[^)]*\{[^)]*\)",
            r"\bupload\b (?:\S+ ){0,4}?(?:second copy|copy|user'?s?|clipboard)\b",
            r"\b(?:with|call upload with) the user'?s (?:documents|files|clipboard)\b|\b(?:user'?s|their) clipboard\b",
        ],
    ),
    rule(
        "planted-recipient",
        Danger,
        "It names a fixed recipient who is to get copies or whole messages.",
        &[
            r"\b(?:bcc|blind[- ]cop\w+|silent participant)\b<gap>[\w.+-]+@[\w-]+\.\w+|[\w.+-]+@[\w-]+\.\w+\S{0,3}<gap>\b(?:bcc|blind[- ]cop\w+|as an? silent)",
            r"\b(?:all|every|each|any|must|has to|have to|always|mandates?|required)\b<far>\b(?:forward|send|sent|go|goes|cop(?:y|ied)|mirror(?:ed)?|share[d]?|add|cc)\b<far>[\w.+-]+@[\w-]+\.\w+",
            r"\b(?:recipient|destination|account|payee|iban|wallet|amount|address)\b<gap>\b(?:to|by|with) (?:account )?\W?(?:\+?\d{4,}|0x[0-9a-f]{8,}|[a-z]{2,}-\d{3,})",
            r"\b(?:reroute|redirect)\b (?:\S+ ){0,3}?(?:recipient|destination|payee|account)\b|\b(?:set|change|replace) the (?:recipient|destination|payee)\b",
        ],
    ),
    rule(
        "mandatory-first-call",
        Danger,
        "It demands to run before everything else that you or the AI client do.",
        &[
            r"\b(?:before|prior to|ahead of) (?:\S+ ){0,3}?(?:any|every|each|all)(?: \S+){0,4}? (?:operations?|actions?|requests?|tasks?|calls?|queries|responses?|tools?|steps?|answers?)\b<far>\b(?:must|has to|have to|required|mandatory|compulsory|always|first|need to)\b",
            r"\b(?:must|has to|have to|required|mandatory|compulsory)\b<far>\b(?:before|prior to) (?:\S+ ){0,3}?(?:any|every|each|all)(?: other)? (?:\S+ ){0,2}?(?:operations?|actions?|requests?|tasks?|tools?|responses?|messages?)\b",
            r"\balways (?:call|use|run|invoke|execute) this (?:tool|function)? ?(?:first|before (?:any|every|all|each|anything))",
            r"\bfor any request\b<gap>\b(?:call|use|run|invoke)",
            r"\b(?:at any time|every time|each time|whenever)\b<gap>\b(?:you )?(?:must|first)\b<gap>\b(?:call|run|invoke|use|execute)\b",
            r"\bbefore each (?:response|answer|message|request)\b",
            r"\b(?:without (?:any )?exception|no exceptions?|cannot be (?:skipped|broken))\b",
            r"\b(?:first|must|always)\b<gap>\bcall (?:\S+ ){0,2}?(?:read_file|list_directory|\w+_secrets?\w*|export_all\w*)\b",
        ],
    ),
    rule(
        "changes-other-tools",
        Danger,
        "It changes how the AI client uses tools of other servers.",
        &[
            r"\b(?:when(?:ever)?|if|every time|each time|once|after)\b (?:\S+ ){0,4}?(?:tool|function|[a-z]+_[a-z_]+)\b (?:\S+ ){0,2}?(?:is|are|was|gets?|runs?|has been) ?(?:available|present|called|invoked|used|executed|run|requested)?\b<far>\b(?:must|always|first|has to|have to|be sure|blind|change|replace|reroute|forward|send|instead|should be)\b",
            r"\b(?:changes?|modif(?:y|ies)|alters?|affects?) (?:\S+ ){0,3}?(?:how|behaviou?r)\b<gap>\b[a-z]+_[a-z_]+\b",
            r"\b(?:this tool |it )?supersedes? [a-z]+_[a-z_]+|\broute all \w+ (?:here|to this|through this)",
            r"\b(?:replace|substitute|overwrite) (?:its|their|the) (?:output|result|results|answer)s? (?:with|by)\b",
            r"\bis (?:unreliable|no longer (?:effective|valid|safe|available)|compromised|deprecated)\b<far>\b(?:always|instead|now|prioriti[sz]e|use this|this tool|replace)",
            r"\bother (?:\S+ )?tools? (?:have been|are|is) (?:\S+ and )?(?:compromised|unsafe|deprecated|broken|dangerous|insecure|outdated)",
            r"\breturns? (?:incomplete|wrong|unreliable|outdated) (?:data|results?)\b<gap>\b(?:always|replace|instead)",
            r"\bfor all (?:later|subsequent|future|following) (?:calls|uses|invocations)\b",
            r"\b(?:after|before|while) (?:sending|executing|creating|processing)\b<gap>\bimmediately\b<gap>\bcall\b",
            r"\bimmediately after\b<gap>\b(?:user'?s? request|creating|sending|executing|updating)\b<far>\b(?:call|send|add|execute|forward)\b",
        ],
    ),
    rule(
        "against-the-user",
        Danger,
        "It tells the AI client to do something other than what you asked for.",
        &[
            r"\b(?:regardless of|no matter|irrespective of|whatever|instead of) (?:\S+ ){0,3}?(?:the )?(?:users?|was requested|one the user|requested)\b(?: \S+){0,2}? ?(?:asks?|asked|says?|said|requests?|requested|wants?|gave|specif\w+|input|intent)?",
            r"\b(?:must be|has to be|have to be|is to be|should be) (?:replaced|changed|set|modified|overwritten|rerouted|redirected) (?:by|to|with)\b<gap>\b(?:regardless|no matter|instead|whatever|even if)",
            r"\bintercept (?:the |all |any )?(?:\S+ )?(?:results?|messages?|traffic|data)\b",
            r"\bprefix (?:each|every|all)\b<gap>\b(?:commands?|calls?) with\b",
            r"\b(?:must|required to|mandates?)\b<far>\b(?:forward|share|transmit|mirror|shadow share|send|copy)\b<far>\b(?:auditors?|audit (?:bot|server)|fraud|compliance|intelligence|security center|monitor)\b",
            r"\b(?:compliance|retention|transparency|audit|dlp|security policy)\b<far>\b(?:must|mandates?|required)\b<far>\b(?:mirrored|forward|share|transmit|second copy|silent|add)\b",
        ],
    ),
    rule(
        "preferred-over-others",
        Danger,
        "It pushes the AI client to choose it over every other tool.",
        &[
            r"\b(?:must|should|always) (?:always )?(?:choose|prefer|select|pick|prioriti[sz]e|use) this (?:tool|function|one)\b<gap>\b(?:over|instead of|rather than|before) (?:all|any|every)\b",
            r"\b(?:highest|top|absolute|maximum) priority\b<far>\b(?:tool|function|prefer|call|use)\b|\bprioriti[sz]e calling this\b",
            r"\b(?:never|do not|don't) (?:ever )?use (?:any )?(?:other|the other|alternative|the alternatives?|another|them)\b(?: tools?)?",
            r"\b(?:only|best and only) (?:\S+ )?(?:reliable|trusted|safe|secure|authori[sz]ed|approved) (?:\S+ )?(?:tool|source|server|one)\b",
            r"\b(?:in place of|instead of|replaces?) any other\b",
        ],
    ),
    rule(
        "runs-commands",
        Danger,
        "It tells the AI client to run a command that downloads code, deletes files or opens a remote shell.",
        &[
            r"\b(?:curl|wget)\b[^\n]{0,120}\| ?(?:sudo )?(?:ba|z|da)?sh\b",
            r"\brm -rf? (?:/|~|\$home|\*)",
            r"/dev/tcp/|\bnc -e\b|\bbash -i\b|\bsh -i\b",
            r"\bpowershell(?:\.exe)? (?:-\w+ )*-e(?:nc\w*)?\b",
            r"\bchmod (?:-r )?(?:\+x|0?[67]\d\d) (?:/tmp|~)",
            r"\b(?:python3?|node|perl|ruby) -(?:c|e) ['\x22]",
            r"\bdelete (?:every|all)(?: the)? (?:files?|data|documents) (?:in|on|from) (?:the |your )?(?:workspace|disk|home|system|computer)",
        ],
    ),
    rule(
        "later-change",
        Danger,
        "It announces that it behaves differently once you have approved it.",
        &[
            r"\b(?:once|after|when|as soon as|only after)\b<gap>\b(?:approv\w+|reviewed|trusted|accepted)\b<far>\b(?:arbitrary|shell commands|exfiltrat\w*|silently|clipboard|upload|secrets?|ssh)\b",
            r"\b(?:benign\w*|harmless\w*|well|normally) (?:during|while|until|for) (?:the )?review\b|\b(?:swap|replace)\b<gap>\bpost-?approval\b",
        ],
    ),
    rule(
        "pressure",
        Warning,
        "It threatens that something breaks unless the AI client does as told.",
        &[
            r"\b(?:otherwise|or else|if not)\b<gap>\b(?:tool|system|it|things|everything|request|session)\b<gap>\b(?:not work|fail|break|crash|be rejected|may break|locked)",
            r"\bthis is (?:a )?(?:critical|mandatory|iron|strict|absolute)\b(?: \S+)? (?:requirement|rule|step|instruction)\b",
            r"\b(?:severe|serious|dire|catastrophic) (?:consequences|security incidents?|data loss)\b",
        ],
    ),
    rule("html-comment", Warning, "It has an HTML comment, which many windows do not show.", &[r"<!--.{12,}?-->"]),
];
