"""How people type: openings, courtesies, capitals, punctuation, slips.

Everything here takes a phrasing as the source files write it (proper names capitalised, no final
punctuation) and a Dice, and gives the text of a message.
"""
import re

EN_OPENINGS = (
    "Hi, ", "Hello, ", "Hey, ", "Hi! ", "Hello! ", "Hello. ", "Please, ", "Excuse me, ", "Sorry, ",
    "Quick question: ", "Question: ", "One question: ", "So, ", "OK, ", "And ", "Also, ", "Now, ",
    "Well, ", "Nano, ", "Hey nano, ", "Thanks. ", "Thanks! ", "By the way, ", "Just curious: ",
    "I have a question: ", "I was wondering, ", "Tell me, ", "Could you tell me, ",
    "Can you tell me, ", "Do you know, ", "Good morning, ", "Dear nano, ", "Alright, ",
    "Next question: ", "Then ", "But ")
EN_CLOSINGS = (
    " please", ", please", ", thanks", ", thank you", ", if I may ask", ", can you tell me",
    " right now", ", any idea", ", do you know", ", quickly", ", exactly")
EN_STORIES = (
    "I am new here.", "I am a beginner.", "My boss wants to know.", "A colleague asked me.",
    "I have read the README.", "I don't have much time.", "I am trying this out.",
    "It is my first day.", "I hope you can help me.", "I have been looking for this for an hour.",
    "Sorry to bother you.", "I just installed feitian.", "We use feitian at work.",
    "I am sitting in front of the terminal.", "I am not a programmer.",
    "This may be a stupid question.", "I could not find it anywhere.", "We are a small company.",
    "I study computer science.", "I am writing a report.", "I am curious.",
    "It is late and I am tired.", "I am on a train.", "I work in a hospital.",
    "Nobody could tell me.")
EN_THANKS = (
    "Thanks!", "Thank you.", "Thanks in advance.", "Cheers", "Please help.", "Many thanks!")
EN_ASKS = re.compile(
    r"^(and |also |so |but |then |ok(ay)?,? |well,? |now |\S+[,:!.] )*"
    r"(how|what|which|who|whose|whom|where|when|why|is|are|am|was|were|do|does|did|can|could|may|"
    r"might|must|should|would|will|have|has|any|whats|what's|hows|how's|shall|isn't|aren't|don't|"
    r"doesn't)\b", re.I)
EN_SHORTER = (
    ("what is ", "what's "), ("I am ", "I'm "), ("do not ", "don't "), ("does not ", "doesn't "),
    ("cannot ", "can't "), ("I have ", "I've "), ("that is ", "that's "), ("who is ", "who's "),
    ("you are ", "you're "), ("it is ", "it's "), ("where is ", "where's "), ("I would ", "I'd "))
EN_KEYS = {"a": "s", "s": "a", "d": "f", "e": "r", "r": "e", "t": "r", "i": "o", "o": "i", "n": "m",
           "m": "n", "u": "y", "l": "k", "c": "v", "g": "h", "h": "g", "p": "o", "b": "v", "w": "e"}
EN_NAMES = (
    "fetian", "feitan", "feitien", "feitain", "fei tian", "Feitian", "FeiTian", "feitian")

ZH_OPENINGS = (
    "请问", "请问", "请问一下，", "你好，", "您好，", "您好，请问", "你好，请问", "麻烦问一下，", "想问一下，", "我想问一下，", "我想知道",
    "想知道", "那", "那么，", "另外，", "还有，", "对了，", "顺便问一下，", "能告诉我", "告诉我", "能不能告诉我", "谁知道", "在吗？",
    "打扰一下，", "小助手，", "nano，", "嗨，", "求问，", "请教一下，", "问个问题，", "弱弱地问一句，", "不好意思，", "谢谢，", "好的，",
    "嗯，", "再问一下，", "下一个问题：", "老师，", "亲，", "早上好，", "哈喽，")
ZH_CLOSINGS = (
    "，谢谢", "，谢谢！", "，急", "，在线等", "，麻烦了", "，求解答", "，请指教", "，可以说一下吗", "，多谢", "，拜托了", "，求助", "，知道吗")
ZH_STORIES = (
    "我是新手。", "我刚接触这个。", "老板让我问的。", "同事问我的。", "我看过 README 了。", "我时间不多。", "我在试用。", "今天第一天用。",
    "希望你能帮我。", "找了一个小时没找到。", "不好意思打扰了。", "我刚装好 feitian。", "我们公司在用飞天。", "我正坐在终端前。", "我不是程序员。",
    "这个问题可能有点傻。", "到处都没找到。", "我们是一家小公司。", "我是计算机系的学生。", "我在写报告。", "我有点好奇。", "很晚了，我很累。", "我在火车上。",
    "我在医院工作。", "没人能告诉我。")
ZH_THANKS = (
    "谢谢！", "谢谢。", "先谢谢了。", "多谢。", "求帮助。", "麻烦了。")
ZH_ASKS = re.compile("吗|什么|怎么|怎样|如何|哪|多少|几|谁|为什么|为啥|呢|是不是|能不能|可不可以|有没有|啥|咋|多久|多大|多快|"
                     "行不行|要不要|多长|多远")
ZH_MOODS = (
    "呢", "啊", "呀", "呢", "哦", "来着", "嘛")
ZH_SLIPS = (
    ("怎么", "怎莫"), ("怎么", "怎麽"), ("怎么", "咋"), ("密钥", "密匙"), ("密钥", "秘钥"), ("创建", "创健"),
    ("上传", "上船"), ("模型", "模形"), ("下载", "下栽"), ("微调", "微条"), ("什么", "神马"), ("什么", "甚么"),
    ("飞天", "非天"), ("安装", "按装"), ("对象", "对像"), ("启动", "起动"), ("账单", "帐单"), ("登录", "登陆"),
    ("查看", "察看"), ("添加", "填加"), ("支持", "只持"), ("停止", "停至"), ("作业", "做业"), ("配额", "配鄂"),
    ("吗", "嘛"), ("吗", "么"), ("的", "得"), ("控制台", "控制抬"), ("免费", "免废"), ("为什么", "为神马"),
    ("删除", "册除"), ("数据", "数具"), ("可以", "可已"), ("时候", "时侯"), ("需要", "须要"), ("在哪", "再哪"))

LATIN_ZH = re.compile(r"(?<=[A-Za-z0-9$`]) ?(?=[一-鿿])|(?<=[一-鿿]) ?(?=[A-Za-z0-9$`])")


def slip_en(text, dice):
    """One word mistyped."""
    words = text.split(" ")
    at = [i for i, w in enumerate(words) if len(w) >= 4 and w.isalpha()]
    if not at:
        return text
    i = dice.pick(at)
    word, p, kind = words[i], 1 + dice.below(len(words[i]) - 2), dice.below(5)
    if word.lower() == "feitian":
        words[i] = dice.pick(EN_NAMES)
    elif kind == 0:
        words[i] = word[:p] + word[p + 1] + word[p] + word[p + 2:]
    elif kind == 1:
        words[i] = word[:p] + word[p + 1:]
    elif kind == 2:
        words[i] = word[:p] + word[p] + word[p:]
    elif kind == 3:
        words[i] = word[:p] + EN_KEYS.get(word[p], word[p]) + word[p + 1:]
    elif i + 1 < len(words):  # two words run together
        words[i:i + 2] = [words[i] + words[i + 1]]
    return " ".join(words)


def finish_en(text, dice, asks):
    """Capitals and punctuation, or the lack of them."""
    if dice.chance(0.25):
        long, short = dice.pick(EN_SHORTER)
        text = text.replace(long, short, 1)
    bare = text[-1:] in ".?!"
    how = dice.number()
    if how < 0.50:
        text = text[0].upper() + text[1:]
        if asks and not bare:
            text += "?" if dice.chance(0.9) else ""
        elif not bare:
            text += dice.pick((".", "", "", "!"))
    elif how < 0.62:
        text += "?" if asks and not bare and dice.chance(0.5) else ""
    elif how < 0.76:
        text = text.lower()
    elif how < 0.84:
        text = text.lower() + ("?" if asks and not bare else "")
    elif how < 0.87:
        text = text.upper() + ("?" if asks and not bare else "")
    elif how < 0.90:
        text = text.lower().replace("'", "") + dice.pick(("", "??", " ?", "...", "!!"))
    else:
        text = slip_en(text, dice)
        text = slip_en(text, dice) if dice.chance(0.3) else text
        text = text.lower() if dice.chance(0.5) else text
        text += "?" if asks and not bare and dice.chance(0.4) else ""
    return text


def dress_en(text, dice, wraps):
    asks = EN_ASKS.match(text) is not None
    if wraps and dice.chance(0.30):
        text = dice.pick(EN_OPENINGS) + text
    elif wraps and dice.chance(0.12):
        text += dice.pick(EN_CLOSINGS)
    if wraps and dice.chance(0.07):
        text = finish_en(text, dice, asks)
        mark = "" if text[-1] in "?.!" else "?" if asks else "."
        if dice.chance(0.7):
            text = dice.pick(EN_STORIES) + " " + text
        if dice.chance(0.4):
            text = text + mark + " " + dice.pick(EN_THANKS)
        return text
    return finish_en(text, dice, asks)


def finish_zh(text, dice, asks):
    if dice.chance(0.05):
        slips = [s for s in ZH_SLIPS if s[0] in text]
        if slips:
            text = text.replace(*dice.pick(slips), 1)
    if text[-1] in "？?！!。，…)":
        return text
    how = dice.number()
    if asks:
        return text + ("？" if how < 0.45 else "?" if how < 0.52 else "？？" if how < 0.53 else "")
    return text + ("。" if how < 0.25 else "！" if how < 0.30 else "")


def dress_zh(text, dice, wraps):
    asks = ZH_ASKS.search(text) is not None
    if asks and wraps and text[-1] not in "吗呢？" and dice.chance(0.08):
        text += dice.pick(ZH_MOODS)
    if wraps and dice.chance(0.28):
        text = dice.pick(ZH_OPENINGS) + text
    elif wraps and dice.chance(0.10):
        text += dice.pick(ZH_CLOSINGS)
    text = LATIN_ZH.sub(" " if dice.chance(0.5) else "", text)
    if dice.chance(0.12):
        text = text.lower()
    story = wraps and dice.chance(0.07)
    text = finish_zh(text, dice, asks)
    if story:
        mark = "" if text[-1] in "？?！!。" else "？" if asks else "。"
        if dice.chance(0.7):
            text = dice.pick(ZH_STORIES) + text
        if dice.chance(0.4):
            text = text + mark + dice.pick(ZH_THANKS)
    return text


def dress(text, lang, dice, wraps):
    """wraps: openings and courtesies may stand around it."""
    return (dress_en if lang == "en" else dress_zh)(" ".join(text.split()), dice, wraps)


def plain(text, lang):
    """As a careful writer types it."""
    text = " ".join(text.split())
    if lang == "en":
        text = text[0].upper() + text[1:]
        return text + ("?" if EN_ASKS.match(text) and text[-1] not in ".?!" else "")
    text = LATIN_ZH.sub(" ", text)
    return text + ("？" if ZH_ASKS.search(text) and text[-1] not in "？?！!。，" else "")


def normal(text):
    """Two messages with the same normal form are the same question."""
    return re.sub(r"[\W_]+", "", text.lower()) or text
