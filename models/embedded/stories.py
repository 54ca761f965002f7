#!/usr/bin/env python3
"""Generator of the text that the embedded model learns: little stories, and short talk about them.

Everything here is our own writing. A sample is a function of (seed, index) and of nothing else, so the
corpus is never stored: `sample(seed, index)` makes it again. Only the standard library is used.

A sample is a list of (speaker, text). A plain story has the speaker None; a chat alternates "user" and
"assistant", perhaps after a "system". What the user asks for (a name, an animal, a thing, a helper, a
place) is really in the story that answers, because the request is drawn from the finished story.

    python3 stories.py 5          print five samples
"""

import random
import re
import sys

# ---------------------------------------------------------------------------------------------- names

HE = """Pip Tom Ben Max Sam Leo Finn Otto Hugo Jack Toby Milo Oscar Felix Rufus Bruno Teddy Charlie Noah
Theo Arlo Gus Ned Oliver Peter Robin Simon Walter Kai Jasper""".split()
SHE = """Lily Anna Mia Rosie Daisy Luna Bella Ruby Poppy Molly Nora Ella Ivy Hazel Clara Emma Greta Lucy
Maya Penny Tilly Willow Zoe Olive Fern Holly Mabel Sophie Alice Dot""".split()

# Made-up names teach the model to copy a name it has never seen.
ONSETS = "B Br C D F Fl G H J K L M N P Qu R S Sh St T Tr V W Y Z".split()
MIDDLES = "a e i o u ar el in om un ai ee oo".split()
CODAS = "b d k l m n p r s t v ck ll mb nd rt sh zz".split()
ENDS_HE = ["o", "us", "er", "in", "or", ""]
ENDS_SHE = ["a", "ie", "elle", "ina", "y", ""]

# ------------------------------------------------------------------------------------------- creatures

# species: (home, food, second food, sound verb, place kinds, skills, one true thing about it)
ANIMALS = {
    "fox": ("a den under an old oak tree", "berries", "eggs", "barks", "wood hill field", "smell", "has a bushy red tail"),
    "rabbit": ("a burrow in the meadow", "carrots", "clover", "squeaks", "wood field hill", "hole run", "has long ears and can hop very fast"),
    "bear": ("a cave on the hill", "honey", "blueberries", "growls", "wood hill", "strong", "is big and strong and sleeps all winter"),
    "owl": ("a hollow tree at the edge of the wood", "nuts", "seeds", "hoots", "wood hill", "fly dark", "can see in the dark"),
    "mouse": ("a hole behind the barn", "cheese", "crumbs", "squeaks", "field farm", "hole", "is very small and very quiet"),
    "hedgehog": ("a heap of dry leaves", "apples", "mushrooms", "snuffles", "wood field", "hole", "has a coat full of prickles"),
    "squirrel": ("a nest high up in a pine tree", "nuts", "acorns", "chatters", "wood", "climb", "can climb any tree"),
    "frog": ("a pond full of lilies", "soup", "cress", "croaks", "water field", "swim", "can jump far and swim well"),
    "duck": ("a nest in the reeds by the lake", "bread", "corn", "quacks", "water farm", "swim", "can swim and fly"),
    "cat": ("a cottage at the end of the lane", "fish", "milk", "purrs", "farm town", "climb dark", "has soft fur and sharp claws"),
    "dog": ("a wooden house in the yard", "bones", "sausages", "barks", "farm town field", "smell run", "can smell things that are far away"),
    "pony": ("a stable on the farm", "hay", "apples", "neighs", "farm field", "strong run", "can carry a child on its back"),
    "lamb": ("a green field behind the farm", "grass", "clover", "bleats", "farm field hill", "run", "has soft white wool"),
    "goat": ("a shed near the rocks", "leaves", "cabbage", "bleats", "hill farm", "rock", "can climb the steepest rocks"),
    "turtle": ("a quiet corner of the pond", "lettuce", "melon", "hums", "water", "swim", "carries its house on its back"),
    "badger": ("a long tunnel under the hill", "roots", "mushrooms", "grunts", "wood hill", "strong hole", "can dig long tunnels"),
    "otter": ("a bank by the river", "fish", "cress", "whistles", "water", "swim", "swims better than anyone"),
    "mole": ("a warm tunnel under the garden", "roots", "potatoes", "snuffles", "field farm", "hole", "digs all day under the ground"),
    "deer": ("a clearing in the wood", "leaves", "grass", "snorts", "wood hill", "run", "runs as fast as the wind"),
    "crow": ("a nest on the old tower", "corn", "cherries", "caws", "town farm hill", "fly", "is very clever and has black feathers"),
    "hen": ("a coop on the farm", "corn", "seeds", "clucks", "farm", "smell", "lays an egg every morning"),
    "penguin": ("a house of snow by the cold sea", "fish", "soup", "honks", "sea", "swim", "loves to slide on the ice"),
    "seal": ("a rock near the beach", "fish", "soup", "barks", "sea", "swim", "can hold its breath for a long time"),
    "gull": ("a nest on the white cliffs", "fish", "bread", "cries", "sea", "fly rock", "glides over the waves"),
    "dragon": ("a cave behind the waterfall", "pancakes", "peppers", "roars", "hill", "fly strong", "can breathe a small warm fire"),
    "pig": ("a sty on the farm", "potatoes", "apples", "grunts", "farm", "smell strong", "loves to roll in the mud"),
    "goose": ("a nest by the lake", "grass", "corn", "honks", "water farm", "swim fly", "flies south when the winter comes"),
    "wolf": ("a den in the hills", "soup", "sausages", "howls", "wood hill", "smell run dark", "sings to the moon at night"),
    "lion": ("a cave among yellow rocks", "sausages", "melon", "roars", "hill field", "strong run", "has a golden mane and a loud voice"),
    "elephant": ("a grove of tall trees", "leaves", "melon", "trumpets", "field water", "strong", "is very big and never forgets a friend"),
    "unicorn": ("a valley behind the rainbow", "clover", "cherries", "neighs", "hill field", "run rock", "has one shining horn"),
    "robot": ("a workshop full of old clocks", "oil", "sunlight", "beeps", "town", "strong dark", "is made of tin and has a kind heart"),
    "snail": ("a crack in the garden wall", "lettuce", "leaves", "hums", "farm field", "hole", "is slow but never gives up"),
}

PEOPLE = {  # children can be heroes; grown-ups only help
    "girl": ("a small house", "cake", "apples"), "boy": ("a small house", "pancakes", "apples"),
    "princess": ("a small castle", "cherries", "cake"), "prince": ("a small castle", "pancakes", "cherries"),
}
GROWN = {
    "farmer": ("farm field", "strong", "soup"), "baker": ("town", "", "bread"), "fisherman": ("sea water", "swim", "fish"),
    "gardener": ("town field", "", "apples"), "miller": ("water field", "strong", "bread"), "sailor": ("sea", "swim", "fish"),
    "woodcutter": ("wood hill", "strong climb", "soup"), "shepherd": ("hill field", "rock run", "cheese"),
}

PLACES = {  # kind: names, with the preposition that fits
    "wood": ["in the forest", "in a quiet forest", "in a deep green wood", "at the edge of the forest"],
    "hill": ["on a high hill", "in a small valley", "at the foot of the mountain", "among the hills"],
    "field": ["in a wide meadow", "in a sunny meadow", "in a garden full of flowers", "near an old orchard"],
    "farm": ["on a little farm", "on a farm near the village", "behind the red barn"],
    "water": ["by a clear river", "near a blue lake", "by a quiet pond", "next to a small stream"],
    "town": ["in a small village", "in a little town", "in a village with crooked houses"],
    "sea": ["by the sea", "on a small island", "near the harbour", "on a long white beach"],
}

TRAITS = "little small young curious brave shy kind cheerful clever gentle quiet funny".split()
COLOURS = "red blue green yellow white golden silver orange purple".split()

# thing: where it can get lost
THINGS = {
    "kite": "tree rock", "hat": "tree water dark", "scarf": "tree rock", "balloon": "tree rock",
    "feather": "tree water", "ribbon": "tree dark", "boat": "water", "ball": "water tree dark", "bottle": "water",
    "ring": "hole water", "key": "hole dark", "marble": "hole", "coin": "hole water", "button": "hole dark", "bell": "hole rock dark",
    "whistle": "hole dark", "drum": "stone dark", "lantern": "rock dark", "basket": "water stone", "book": "stone dark",
    "blanket": "tree dark", "cup": "hole dark", "spoon": "hole dark", "flute": "hole rock dark", "map": "tree rock",
    "umbrella": "tree water", "mitten": "tree dark", "shoe": "water dark", "teddy": "stone dark", "doll": "stone dark",
    "wagon": "stone", "letter": "tree water", "star": "tree dark", "crown": "water stone", "clock": "stone hole",
    "paintbrush": "hole water", "pebble": "hole water", "shell": "water hole", "wheel": "stone water", "bucket": "water stone",
    "violin": "stone dark", "trumpet": "rock dark", "sled": "stone water", "spade": "stone dark", "compass": "hole dark",
    "train": "hole stone", "puppet": "tree dark", "mirror": "dark rock", "sock": "tree water", "pillow": "tree water",
    "box": "stone water", "cap": "tree water", "pencil": "hole dark", "rocket": "tree rock", "plane": "tree rock",
}
UNCOLOURED = {"map", "letter", "shell", "pebble", "star", "clock", "feather", "coin"}
PLAIN_WORD = {"teddy": "teddy", "star": "paper star", "wheel": "wooden wheel", "crown": "paper crown",
              "train": "toy train", "plane": "paper plane", "rocket": "toy rocket"}
NOT_MADE = {"feather", "shell", "pebble", "coin", "mirror", "clock"}

# ------------------------------------------------------------------------------------------- templates

# [a|b|c] picks one alternative, {x} inserts a field. Fields: hero H, helper F (names and phrases).
OPENINGS = [
    "Once upon a time, there was {a_trait_kind} named {H}. {He} lived in {home}{place_tail}.",
    "Once upon a time, {place}, there lived {a_trait_kind} named {H}. {His} home was {home}.",
    "Once upon a time, {a_trait_kind} named {H} lived {place}.",
    "Once upon a time, there lived {a_trait_kind} {place}. {His} name was {H}.",
    "There was once {a_trait_kind} called {H} who lived {place}.",
    "{Place}, there lived {a_trait_kind} called {H}.",
    "{H} was {a_trait_kind}. {He} lived in {home}{place_tail}.",
    "Long ago, {place}, there was {a_trait_kind} whose name was {H}.",
]
LIKES = [
    "{H} [loved|liked] to eat {food} and to [play outside|sing|look at the clouds|watch the birds|listen to the wind].",
    "Every [day|morning], {he} [ate some {food} and went out to play|went for a long walk|looked for {food}].",
    "{He} [loved|liked] {food} more than anything.",
    "Everyone knew {him}, because {he} was so [kind|cheerful|friendly|funny].",
    "",
]
TIMES = {
    "sun": ["One sunny morning", "One bright day", "One warm afternoon", "On a fine summer day", "One fine morning"],
    "wind": ["One windy day", "One windy morning", "On a windy afternoon", "One day, when the wind was strong"],
    "rain": ["One rainy day", "One grey morning, when it rained", "On a wet afternoon", "One day, after the rain"],
    "snow": ["One winter morning", "One cold and snowy day", "On the first day of snow", "One white winter day"],
    "fog": ["One foggy morning", "One misty day", "On a grey and foggy day"],
    "night": ["One evening", "One quiet night", "Late one evening", "One night, when the moon was round"],
}
SAD = [
    "{H} was very sad.", "{H} sat down and began to cry.", "{He} did not know what to do.", "\"Oh no!\" [cried|said] {H}.",
    "A [big|small] tear rolled down {his} [cheek|face].", "{H} felt very small and alone.", "\"What shall I do now?\" [asked|said] {H}.",
]
MEETS = [
    "Just then, {f_intro} came [along|by|down the path].", "Then {he} met {f_intro}.",
    "After a while, {f_intro} [came along|walked by|stopped to look].", "{F_intro} heard {him} and came to see what was wrong.",
    "Soon {he} saw {f_intro}, who was [looking for {f_food}|on the way home|having a rest].",
]
ASKS = [
    "\"What is the matter?\" asked {F}. {H} told {f_him} everything.", "\"Why are you so sad?\" asked {F}. \"{problem}\" said {H}.",
    "\"Can you help me?\" asked {H}. \"{problem}\"", "{H} told {F} what had happened.", "\"{problem}\" said {H}.",
]
OFFERS = [
    "\"Do not [worry|cry|be sad],\" said {F}. \"I [will|can] help you.\"", "\"I know what to do,\" said {F}.",
    "\"Let us [try|look|go] together,\" said {F}.", "{F} thought for a moment and [smiled|nodded]. \"Come with me,\" {f_he} said.",
    "\"That is easy,\" [laughed|said] {F}.",
]
THANKS = [
    "\"Thank you, {F_call}!\" said {H}.", "\"You are a true friend,\" said {H}.", "\"Thank you so much!\" cried {H}, and {he} hugged {F}.",
    "{H} was so happy that {he} [danced|jumped up and down|laughed out loud].", "{H} thanked {F} again and again.",
]
SHARES = [
    "Then they [shared|ate] some {meal} [together|under a tree|by the fire].", "To say thank you, {H} gave {F} some {f_food}.",
    "{H} [invited|asked] {F} to {his} home, and they ate {meal} until it was late.",
    "They sat [down|side by side] and shared {meal}.", "",
]
ENDINGS = [
    "From that day on, {H} and {F} were best friends.", "And from then on, they [played|met] every day.",
    "That night, {H} fell asleep with a smile.", "{H} never forgot how kind {F} had been.", "And they lived happily ever after.",
    "{H} had learned that {lesson}.", "And so {H} went home, tired and happy.", "Since then, {H} [always|often] says that {lesson}.",
]

ENDINGS_AT_HOME = [e for e in ENDINGS if "went home" not in e]

SPOTS = {  # where a lost thing ends up: how it got there, and where that is, as (sentences, phrase)
    "tree": (["{Time}, {H} was playing with {his} {thing} when [a strong wind|a gust of wind|the wind] [carried|blew] it [away|off] into a tall tree.",
              "{Time}, the wind took {his} {thing} and hung it on the top of a tall tree.",
              "{Time}, {H} lost {his} {thing}. {He} looked everywhere and saw it at last at the top of a tall tree."], "at the top of a tall tree"),
    "water": (["{Time}, {H} slipped near the water, and {his} {thing} fell in and floated away.",
               "{Time}, {H} dropped {his} {thing} from the bridge, and it fell into the deep water.",
               "{Time}, a wave took {his} {thing} and carried it far out on the water."], "out on the deep water"),
    "hole": (["{Time}, {H} dropped {his} {thing}, and it rolled into a deep, narrow hole.",
              "{Time}, {H} tripped over a root, and {his} {thing} fell down a narrow hole.",
              "{Time}, {his} {thing} slipped out of {his} bag and fell into a narrow hole."], "down a narrow hole"),
    "stone": (["{Time}, a heavy stone rolled down and landed right [in front|on top] of {his} {thing}.",
               "{Time}, {H} left {his} {thing} by the path, and a big log fell on it.",
               "{Time}, a storm pushed a heavy log over {his} {thing}."], "under something very heavy"),
    "dark": (["{Time}, {H} came home and saw that {his} {thing} was gone. {He} had left it somewhere in the dark wood.",
              "{Time}, {H} lost {his} {thing} on the way home. Soon it was too dark to look for it.",
              "{Time}, {H} hid {his} {thing} in the bushes and could not find it again."], "somewhere in the dark wood"),
    "rock": (["{Time}, the wind carried {his} {thing} up to a steep rock, where nobody could reach it.",
              "{Time}, {his} {thing} got stuck high on a steep rock.",
              "{Time}, {H} looked up and saw {his} {thing} on a steep rock, far too high to reach."], "high on a steep rock"),
}
RESCUE = {  # (spot, skill): what the helper does
    ("tree", "climb"): ["{F} climbed up the tree, from branch to branch, and brought the {thing} down.", "Up and up went {F}, right to the top, and [soon|then] came back with the {thing}."],
    ("tree", "fly"): ["{F} spread {f_his} wings, flew to the top of the tree, and brought the {thing} down.", "{F} flew up and [picked|pulled] the {thing} out of the leaves."],
    ("water", "swim"): ["{F} jumped into the water, swam to the {thing} and pushed it back to the shore.", "With a splash, {F} dived in and [soon|a moment later] came up with the {thing}."],
    ("water", "fly"): ["{F} flew low over the water and picked the {thing} up."],
    ("hole", "hole"): ["{F} slipped into the hole and came back with the {thing}.", "{F} dug and dug until {f_he} could reach the {thing}."],
    ("stone", "strong"): ["{F} took a deep breath, pushed hard, and moved it away. There was the {thing}!", "{F} lifted it as if it were a feather, and {H} pulled the {thing} out."],
    ("dark", "dark"): ["{F} could see in the dark and found the {thing} at once.", "{F} looked left and right with big bright eyes and found the {thing} under a bush."],
    ("dark", "smell"): ["{F} sniffed the ground, followed the trail and found the {thing} under a bush.", "{F} put {f_his} nose to the ground and soon found the {thing} behind a bush."],
    ("rock", "rock"): ["{F} climbed the rock, step by step, and came back with the {thing}."],
    ("rock", "fly"): ["{F} flew up to the rock and came back with the {thing}.", "{F} spread {f_his} wings, circled once and picked the {thing} up."],
}

WISHES = {  # wish: (what is in the way, how the helper makes it come true, skills that can)
    "see the sea": ("The sea was far away, and {he} did not know the way.", ["{F} knew the way and walked with {him} over the hills until they saw the blue water.", "{F} showed {him} the old road, and by evening they heard the waves."], "run fly rock smell"),
    "touch the moon": ("But the moon was much too high.", ["{F} took {him} to the still water, where the moon was [swimming|shining], and {H} touched it with one finger.", "{F} filled a bowl with water, and there was the moon, close enough to touch."], "swim dark hole"),
    "learn to swim": ("But {he} was afraid of the deep water.", ["{F} stayed close by and showed {him} how to kick, and on the third try {H} was swimming.", "\"Hold on to me,\" said {F}, and bit by bit {he} learned to swim."], "swim"),
    "fly like a bird": ("But {he} had no wings.", ["fly: {F} took {him} on {f_his} back, and they flew over the [trees|roofs|fields].", "run: {F} found a strong wind on the hill, and they ran down so fast that it felt like flying."], "fly run"),
    "see the first snow": ("But {he} always fell asleep before it came.", ["{F} woke {him} up very early, and there it was, white and soft and quiet.", "{F} knocked at {his} door, and outside the world was white."], "run strong hole fly climb dark"),
    "find a treasure": ("But {he} had no map.", ["hole strong: {F} dug under the old stone and found a box, and in it was a [little bell|golden button|blue marble].", "{F} showed {him} a secret cave full of shining stones."], "hole strong smell"),
    "sing a song for everyone": ("But {he} was too shy to sing.", ["{F} sat in the first row and hummed along, and soon {H} sang loud and clear.", "\"Sing just for me,\" said {F}, and when {he} did, everyone came to listen."], "run fly climb swim hole dark"),
    "climb the tall tree": ("But the first branch was too high.", ["{F} lent {him} a hand and showed {him} where to step, and soon they sat at the top.", "{F} found a rope, and together they climbed up, branch by branch."], "climb strong"),
    "grow the biggest pumpkin": ("But nothing grew in {his} dry garden.", ["hole strong: {F} dug a little ditch for the water, and day by day the pumpkin grew until it was as big as a barrel.", "{F} carried water from the well every evening, and the pumpkin grew and grew."], "hole strong swim"),
    "count all the stars": ("But {he} always fell asleep at twenty.", ["{F} counted with {him}, and when one was tired, the other went on.", "\"You count that half and I count this half,\" said {F}."], "dark fly climb"),
}

FEARS = {  # fear: how the helper takes it away
    "the dark": ["{F} showed {him} how the stars shine only when it is dark.", "{F} lit a small lantern and told {him} a funny story until the dark felt warm."],
    "thunder": ["\"Thunder is only the clouds playing the drum,\" said {F}, and they drummed along.", "{F} counted with {him} after each flash, and the thunder went farther and farther away."],
    "the deep water": ["{F} held {his} hand, and they went in step by step.", "{F} found a place where the water was warm and not deep, and they splashed about."],
    "the old bridge": ["{F} went first and looked back at every step, and {H} followed.", "They crossed it together, and {F} sang all the way."],
    "the big wind": ["{F} made a kite, and all at once the wind was something to play with.", "\"Lean on it,\" laughed {F}, and they leaned on the wind like on a wall."],
    "the first day of school": ["{F} kept a seat for {him}, and soon they were laughing together.", "{F} showed {him} the way and shared {f_his} lunch."],
}

LESSONS = [
    "a friend makes everything easier", "it is good to ask for help", "kind words cost nothing", "small friends can do big things",
    "sharing makes things taste better", "being brave means trying", "every problem is smaller with two",
]
NEEDS = {"cake": ["flour", "eggs", "honey", "milk"], "soup": ["carrots", "potatoes", "water", "salt"],
         "pie": ["apples", "flour", "butter", "cherries"], "bread": ["flour", "salt", "water", "seeds"], "jam": ["berries", "sugar", "cherries", "plums"]}

# ------------------------------------------------------------------------------------------ the writer

ALTERNATIVES = re.compile(r"\[([^\[\]]*)\]")


START = re.compile(r"([.!?] )([a-z])")  # "the fox" at the start of a later sentence of a template


def article(noun):
    return ("an " if noun[0] in "aeiou" and not noun.startswith("uni") else "a ") + noun


def capital(text):
    i = 1 if text[:1] == '"' else 0
    return text[:i] + text[i:i + 1].upper() + text[i + 1:]


class Creature:
    """A hero or a helper, with the words that stand for it."""

    def __init__(self, rng, kind, name, she):
        self.kind, self.name, self.she = kind, name, she
        self.he, self.him, self.his = ("she", "her", "her") if she else ("he", "him", "his")
        if kind in ANIMALS:
            home, food, second, _, places, skills, _ = ANIMALS[kind]
        elif kind in PEOPLE:
            home, food, second = PEOPLE[kind]
            places, skills = "town farm sea field", ""
        else:
            places, skills, food = GROWN[kind]
            home, second = "a small house", food
        self.home, self.food, self.foods = home, rng.choice([food, food, second]), (food, second)
        self.places, self.skills = places.split(), skills.split()


def make_name(rng, she, invented):
    if not invented:
        return rng.choice(SHE if she else HE)
    end = rng.choice(ENDS_SHE if she else ENDS_HE)
    return rng.choice(ONSETS) + rng.choice(MIDDLES) + rng.choice(CODAS) + end


def make_hero(rng, invented):
    she = rng.random() < 0.5
    kind = rng.choice(list(ANIMALS))
    if rng.random() < 0.28:
        kind = rng.choice(["girl", "girl", "girl", "princess"] if she else ["boy", "boy", "boy", "prince"])
    return Creature(rng, kind, make_name(rng, she, invented), she)


def make_helper(rng, hero, skills, invented):
    """A helper with one of the skills (any, if skills is empty) that may live near the hero."""
    kinds = [k for k in ANIMALS if k != hero.kind and set(ANIMALS[k][4].split()) & set(hero.places)
             and (not skills or set(ANIMALS[k][5].split()) & set(skills))]
    kinds += [k for k in GROWN if hero.kind in PEOPLE and set(GROWN[k][0].split()) & set(hero.places)
              and (not skills or set(GROWN[k][1].split()) & set(skills))]
    if not kinds:
        return None
    kind = rng.choice(kinds)
    she = rng.random() < 0.5 and kind not in ("fisherman",)
    while True:
        name = make_name(rng, she, invented)
        if name != hero.name:
            return Creature(rng, kind, name, she)


class Story:
    """One story: its sentences, and the facts that questions may ask for.

    invented: the hero has a made-up name, and sometimes the helper too. A request must tell such names:
    a story that invents its own names takes them from the lists.
    """

    def __init__(self, rng, invented):
        self.rng, self.lines, self.f = rng, [], {}
        self.invented, self.invented_helper = invented, invented and rng.random() < 0.3
        self.hero = make_hero(rng, invented)
        self.helper = self.thing = self.spot = self.wish = self.fear = self.dish = None
        self.named_helper = self.invented_helper or rng.random() < 0.35
        self.weather = "sun"
        self.trait = rng.choice(TRAITS)
        self.place_kind = rng.choice(self.hero.places)
        self.place = rng.choice(PLACES[self.place_kind])
        h = self.hero
        self.f.update(H=h.name, he=h.he, him=h.him, his=h.his, He=capital(h.he), His=capital(h.his), home=h.home, food=h.food,
                      place=self.place, Place=capital(self.place), a_trait_kind=article(self.trait + " " + h.kind),
                      place_tail=" " + self.place if h.kind in PEOPLE else "", lesson=rng.choice(LESSONS))

    def pick(self, templates):
        """Expands one of the templates and adds it to the story."""
        self.add(self.rng.choice(templates))

    def add(self, template):
        text = self.expand(template)
        if text:
            self.lines.append(capital(text))

    def expand(self, template):
        while True:
            m = ALTERNATIVES.search(template)
            if not m:
                break
            template = template[:m.start()] + self.rng.choice(m.group(1).split("|")) + template[m.end():]
        return template.format(**self.f)

    def when(self, *weathers):
        self.weather = self.rng.choice(weathers)
        time = self.rng.choice(TIMES[self.weather])
        self.f.update(Time=time, time=time[0].lower() + time[1:])

    def open(self):
        self.pick(OPENINGS[:4] if self.rng.random() < 0.65 else OPENINGS[4:])
        self.pick(LIKES)

    def bring(self, skills):
        """Chooses the helper; False if nobody near can help."""
        f = self.helper = make_helper(self.rng, self.hero, skills, self.invented_helper)
        if f is None:
            return False
        kind = f.kind
        adjective = self.rng.choice(["old", "friendly", "wise", "kind", "big", "tall"] if kind in GROWN or kind in ("bear", "pony", "deer", "dragon")
                                    else ["old", "little", "friendly", "wise", "kind", "clever"])
        intro = article(adjective + " " + kind) + (" named " + f.name if self.named_helper else "")
        self.f.update(F=f.name if self.named_helper else "the " + kind, F_call=f.name if self.named_helper else "dear " + kind, f_intro=intro, F_intro=capital(intro),
                      f_he=f.he, f_him=f.him, f_his=f.his, f_food=f.food, f_kind=kind,
                      meal=self.rng.choice([self.hero.food, f.food, self.hero.food + " and " + f.food if self.hero.food != f.food else f.food]))
        return True

    def close(self):
        if self.rng.random() < 0.85:
            self.pick(THANKS)
        self.pick(SHARES)
        self.pick(ENDINGS)

    def text(self):
        return START.sub(lambda m: m.group(1) + m.group(2).upper(), " ".join(self.lines))


def name_thing(s):
    """Gives the hero a thing with a colour."""
    rng = s.rng
    s.thing = rng.choice(list(THINGS))
    word = PLAIN_WORD.get(s.thing, s.thing)
    colour = "" if s.thing in UNCOLOURED or rng.random() < 0.3 else rng.choice(COLOURS)
    s.colour = colour
    s.f.update(thing=word, a_thing=article((colour + " " + word).strip()), the_thing="the " + (colour + " " + word).strip())
    s.word = word


def plot_lost(s):
    name_thing(s)
    s.spot = s.rng.choice(THINGS[s.thing].split())
    if not s.bring([skill for spot, skill in RESCUE if spot == s.spot]):
        return False
    s.when(*{"tree": ("wind",), "rock": ("wind", "sun"), "dark": ("night", "fog"), "water": ("sun", "rain"),
             "stone": ("rain", "wind"), "hole": ("sun", "rain", "snow")}[s.spot])
    s.open()
    s.pick(["{H} had {a_thing} that {he} [loved|liked] very much.", "{His} [grandmother|grandfather|mother|uncle] had given {him} {a_thing}.",
            "The thing {he} loved most was {a_thing}.", "For {his} birthday, {H} got {a_thing}."]
           + ([] if s.thing in NOT_MADE else ["{H} had made {a_thing} all by {him}self."]))
    sentences, s.where = SPOTS[s.spot]
    s.pick(sentences)
    s.pick(SAD)
    s.pick(MEETS)
    s.f["problem"] = s.rng.choice(["I have lost my %s," % s.word, "My %s is gone," % s.word, "I can not get my %s back," % s.word])
    ask(s)
    s.pick(OFFERS)
    skill = s.rng.choice([k for spot, k in RESCUE if spot == s.spot and k in s.helper.skills])
    s.pick(RESCUE[s.spot, skill])
    s.close()
    return True


def ask(s):
    template = s.rng.choice(ASKS)
    text = s.expand(template)
    if text.endswith(',"'):
        text = text[:-2] + '."'
    s.lines.append(capital(text))


def plot_wish(s):
    s.wish = s.rng.choice(list(WISHES))
    obstacle, answers, skills = WISHES[s.wish]
    if not s.bring(skills.split()):
        return False
    s.when(*{"see the first snow": ("snow",), "touch the moon": ("night",), "count all the stars": ("night",)}.get(s.wish, ("sun", "wind")))
    s.f["wish"] = s.wish
    s.open()
    s.pick(["{H} had one wish: {he} wanted to {wish}.", "More than anything, {H} wanted to {wish}.", "{H} often dreamed that one day {he} would {wish}.",
            "\"I wish I could {wish},\" said {H} every evening."])
    s.add(obstacle)
    s.pick(["{Time}, {he} met {f_intro}.", "{Time}, {f_intro} came by.", "{Time}, {he} told {f_intro} about it.", "{Time}, {H} went to see {f_intro}."])
    s.pick(["\"I want to {wish},\" said {H}.", "\"Can you help me to {wish}?\" asked {H}.", "\"What do you wish for?\" asked {F}. \"I want to {wish},\" said {H}."])
    s.pick(OFFERS)
    answers = [a.rpartition(": ") for a in answers]
    s.pick([text for skills, _, text in answers if not skills or set(skills.split()) & set(s.helper.skills)])
    s.pick(["It was even better than in {his} dreams.", "{H} had never been so happy.", "\"I did it!\" cried {H}.", "{H} laughed with joy."])
    s.close()
    return True


def plot_way_home(s):
    if not s.bring(["smell", "fly", "dark", "run"]):
        return False
    s.when("fog", "snow", "night")
    s.f["problem"] = s.rng.choice(["I can not find the way home,", "I am lost,", "I do not know where I am,"])
    s.open()
    s.pick({"fog": ["{Time}, {H} went out to look for {food}. The fog grew so thick that {he} could not see the path."],
            "snow": ["{Time}, {H} went for a walk. Snow fell and fell, until the path was gone.", "{Time}, {H} went out to play. The snow covered every path."],
            "night": ["{Time}, {H} was still far from home. It grew dark, and all the trees looked the same.", "{Time}, {H} forgot the time while playing, and soon it was dark."]}[s.weather])
    s.pick(SAD)
    s.pick(MEETS)
    ask(s)
    s.pick(OFFERS)
    s.pick(["{F} went ahead, and {H} followed close behind.", "They walked side by side, over the bridge and past the old mill.", "{F} told {him} stories all the way, and the road felt short."])
    s.pick(["At last they saw a light. It was {his} own window!", "Soon {H} saw {his} own door again.", "Before long, they stood in front of {his} home."])
    s.close()
    return True


def plot_fear(s):
    s.fear = s.rng.choice(list(FEARS))
    if s.fear == "the first day of school" and s.hero.kind not in PEOPLE or s.fear == "the deep water" and "swim" in s.hero.skills:
        return False
    if not s.bring([]) or s.fear == "the first day of school" and s.helper.kind in GROWN:
        return False
    s.when({"the dark": "night", "thunder": "rain", "the big wind": "wind"}.get(s.fear, "sun"))
    s.f.update(fear=s.fear, problem=s.rng.choice(["I am afraid of %s," % s.fear, "I am scared of %s," % s.fear]))
    s.open()
    s.pick(["{H} was afraid of only one thing: {fear}.", "But {H} was afraid of {fear}.", "There was one thing {H} did not like at all: {fear}."])
    s.pick({"night": ["{Time}, the lamp went out, and {H} hid under {his} blanket.", "{Time}, {H} could not sleep."],
            "rain": ["{Time}, black clouds came over the hill, and {H} hid under a table.", "{Time}, the sky went black, and {H} began to shake."]}
           .get(s.weather, ["{Time}, {H} had to be brave, but {his} knees were shaking.", "{Time}, {he} wanted to turn around and run home."]))
    s.pick(MEETS)
    ask(s)
    s.pick(["\"Everyone is afraid of something,\" said {F}.", "\"I was afraid too when I was small,\" said {F}.", "{F} did not laugh at {him}."] + OFFERS[:3])
    s.pick(FEARS[s.fear])
    s.pick(["Little by little, {H} was not afraid any more.", "\"It is not so bad,\" said {H}.", "And {H} found that {he} was brave after all."])
    s.close()
    return True


def plot_dish(s):
    if not s.bring([]):
        return False
    s.dish = s.rng.choice(list(NEEDS))
    s.need = s.rng.choice(NEEDS[s.dish])
    s.when("sun", "rain", "snow")
    s.guest = s.rng.choice(["{his} grandmother", "{his} mother", "all {his} friends", "the winter feast", "the village fair"]).format(**s.f)
    s.f.update(a_dish=article(s.dish) if s.dish in ("cake", "pie") else "some " + s.dish, dish=s.dish, need=s.need, was_no="were no" if s.need.endswith("s") else "was no", guest=s.guest,
               problem="I have no %s for the %s," % (s.need, s.dish))
    s.open()
    s.pick(["{Time}, {H} wanted to make {a_dish} for {guest}.", "{Time}, {H} decided to make {a_dish} for {guest}."])
    s.pick(["{He} looked in every cupboard, but there {was_no} {need}.", "{He} put on an apron and lit the fire, but the jar of {need} was empty.", "But when {he} started, {he} saw that there {was_no} {need} left."])
    s.pick(SAD)
    s.pick(MEETS)
    ask(s)
    s.pick(["\"I have more {need} than I can use,\" said {F}, and ran to get some.", "{F} went home and came back with a bag of {need}.", "\"Look what I have in my basket,\" said {F}. It was {need}!"])
    s.pick(["Together they stirred and tasted and laughed, and soon the {dish} was ready.", "They worked all afternoon, and the {dish} smelled wonderful.", "{H} stirred, {F} sang, and the {dish} was the best they had ever made."])
    s.pick(["{H} gave {F} the first [piece|bite|taste].", "Everyone got a [big|good] piece, and nothing was left.", "They ate it while it was still warm."])
    s.pick(ENDINGS_AT_HOME)
    return True


def plot_found(s):
    name_thing(s)
    if not s.bring([]):
        return False
    s.when("sun", "wind", "rain")
    s.open()
    s.pick(["{Time}, {H} found {a_thing} on the path.", "{Time}, something lay in the grass. It was {a_thing}!", "{Time}, {H} saw {a_thing} under a bush."])
    s.pick(["It was the [prettiest|finest] {thing} {he} had ever seen, and {he} wanted to keep it.", "\"How pretty!\" said {H}, and {he} put it in {his} bag.", "{H} looked around, but nobody was there."])
    s.pick(["A little later, {he} met {f_intro}, who was crying.", "Then {he} heard someone cry. It was {f_intro}.", "On the way home, {he} met {f_intro}. {F} looked very sad."])
    s.pick(["\"I have lost my {thing},\" said {F}. \"I have looked everywhere.\"", "\"Have you seen my {thing}?\" asked {F}. \"I lost it this morning.\""])
    s.pick(["{H} wanted to keep the {thing}, but {he} wanted even more to be kind.", "{H} thought about it for a moment.", "{H} felt the {thing} in {his} bag."])
    s.pick(["\"Here it is,\" said {H}, and gave the {thing} back.", "\"Is this yours?\" asked {H}, and held up the {thing}."])
    s.pick(["{F} was so happy that {f_he} hugged {H}.", "\"Thank you!\" cried {F}. \"Now I can smile again.\"", "\"You are very honest,\" said {F}."])
    s.pick(SHARES)
    s.pick(ENDINGS)
    return True


def plot_shelter(s):
    if not s.bring([]) or s.helper.kind in GROWN:
        return False
    s.when("rain", "snow", "wind")
    s.open()
    s.f["storm"] = {"rain": "a storm with heavy rain", "snow": "a snow storm", "wind": "a great wind"}[s.weather]
    s.pick(["{Time}, there was {storm}.", "{Time}, {storm} came over the land."])
    s.pick(["In the middle of it, somebody knocked at the door. It was {f_intro}, wet and cold.", "{H} looked out and saw {f_intro}, who was shaking with cold.",
            "{H} heard a small voice outside. It belonged to {f_intro}."])
    s.pick(["\"My home is broken,\" said {F}. \"I have no place to sleep.\"", "\"May I come in?\" asked {F}. \"I have lost my home.\""])
    s.pick(["\"Of course,\" said {H}. \"There is room for two.\"", "\"Come in quickly!\" said {H}.", "\"You can stay with me,\" said {H}."])
    s.pick(["{H} made a warm bed and a bowl of soup.", "They sat by the fire and ate {meal}.", "{H} gave {F} {his} own blanket."])
    s.pick(["When the storm was over, they went out and built a new home together.", "The next day, all the friends came to help, and by evening the new home was ready.", "In the morning, they took wood and leaves and made everything new."])
    s.pick(["\"I will never forget this,\" said {F}.", "\"Thank you, {H},\" said {F}.", "{F} was happy again."])
    s.pick(ENDINGS_AT_HOME)
    return True


def plot_friend(s):
    if not s.bring([]) or s.helper.kind in GROWN:
        return False
    s.when("sun", "snow", "wind")
    s.open()
    s.pick(["But {H} had nobody to play with.", "{H} was often lonely.", "{H} wished for a friend."])
    s.pick(["{Time}, {f_intro} came to live next door.", "{Time}, {he} saw {f_intro}, sitting all alone.", "{Time}, {f_intro} looked over the fence."])
    s.pick(["\"Hello,\" said {H}. \"Do you want to play with me?\"", "{H} was shy, but then {he} took a step and said, \"Hello!\"", "\"What are you doing?\" asked {H}."])
    s.pick(["\"I thought nobody would ask,\" said {F}.", "\"I would love to play,\" said {F}.", "{F} smiled a little smile. \"I am new here,\" {f_he} said."])
    s.pick({"snow": ["They built a snow castle with four towers.", "They slid down the hill again and again."],
            "wind": ["They ran with the wind and chased the leaves.", "They let little boats sail on the pond."],
            "sun": ["They played hide and seek until evening.", "They built a little house of sticks and leaves.", "They looked for {food} and told each other jokes."]}[s.weather])
    s.pick(["{H} had not laughed so much for a long time.", "When the sun went down, they did not want to go home.", "The day went by much too fast."])
    s.pick(SHARES)
    s.pick(ENDINGS[:4])
    return True


PLOTS = [plot_lost] * 5 + [plot_wish] * 3 + [plot_way_home] * 2 + [plot_fear] * 2 + [plot_dish] * 2 + [plot_found] * 2 + [plot_shelter, plot_friend]


def make_story(rng, invented=False):
    while True:
        s = Story(rng, invented)
        s.plot = rng.choice(PLOTS)
        if s.plot(s):
            return s


# ---------------------------------------------------------------------------------------------- talk

REQUESTS = [
    "Tell me a story about {what}.", "Tell me a story about {what}.", "Tell me a story about {what}.", "Tell me a story about {what}",
    "Can you tell me a story about {what}?", "Please tell me a story about {what}.", "Write a short story about {what}.",
    "Write a story about {what}.", "I want to hear a story about {what}.", "I would like a story about {what}, please.",
    "A story about {what}, please.", "Tell me about {what}.", "tell me a story about {what}", "Do you know a story about {what}?",
    "Tell a little story about {what}.", "Story about {what}", "Give me a bedtime story about {what}.", "Make up a story about {what}.",
]
ANY_REQUESTS = ["Tell me a story.", "Tell me a story!", "tell me a story", "Please tell me a story.", "Can you tell me a story?", "I want to hear a story.",
                "Write a story.", "Tell me a bedtime story.", "Another story, please.", "Tell me a short story."]


def describe(s):
    """A request's object that is true of the story."""
    rng, h = s.rng, s.hero
    a_kind = article(h.kind)
    named = rng.choice(["%s named %s", "%s named %s", "%s called %s"]) % (rng.choice([a_kind, a_kind, s.f["a_trait_kind"]]), h.name)
    helper = article(s.helper.kind) + (" named " + s.helper.name if s.invented_helper or s.named_helper and rng.random() < 0.5 else "")
    if s.invented_helper:
        return rng.choice([h.name, named]) + " and " + helper
    if s.invented:
        a_kind = named
    options = [a_kind, a_kind if s.invented else s.f["a_trait_kind"], named, named, named, h.name]
    options += [a_kind + " and " + helper, named + " and " + helper]
    if s.thing:
        thing = rng.choice([article(s.word), s.f["a_thing"]])
        options += [a_kind + " and " + thing] * 2 + [named + " and " + thing] * 2 + [a_kind + " and " + thing if s.invented else thing, h.name + " and " + thing, named + " who finds " + thing
                    if not s.spot else named + " who loses " + thing]
    if s.wish:
        options += [a_kind + " who wants to " + s.wish, named + " who wants to " + s.wish]
    if s.fear:
        options += [a_kind + " who is afraid of " + s.fear, named + " who is afraid of " + s.fear]
    if s.dish:
        options += [a_kind + " who makes " + s.f["a_dish"], named + " who makes " + s.f["a_dish"]]
    if rng.random() < 0.15:
        options += [a_kind + " " + s.place, named + " " + s.place]
    return rng.choice(options)


def describe_plot(s):
    """A request's object that says what happens; always true of the story."""
    rng, h = s.rng, s.hero
    kind = article(h.kind)
    who = rng.choice([kind, kind, h.name, kind + " named " + h.name, kind + " called " + h.name])
    if s.invented:
        who = rng.choice([h.name, kind + " named " + h.name])
    if s.thing:
        thing = rng.choice([article(s.word), s.f["a_thing"]])
        return who + rng.choice([" and ", " and ", " who loses " if s.spot else " who finds "]) + thing
    if s.wish:
        return who + " who wants to " + s.wish
    if s.fear:
        return who + " who is afraid of " + s.fear
    if s.dish:
        return who + rng.choice([" who makes ", " who wants to make ", " and "]) + s.f["a_dish"]
    return who + rng.choice({plot_way_home: [" who is lost", " who can not find the way home"], plot_friend: [" who finds a friend", " who is lonely"],
                             plot_shelter: [" and a storm", " who helps a friend"]}[s.plot])


def story_questions(s):
    """Questions about a told story, each with its answer in a sentence."""
    h, f = s.hero, s.f
    qs = [("What is the %s called?" % h.kind, "The %s is called %s." % (h.kind, h.name)),
          ("Who is %s?" % h.name, "%s is %s." % (h.name, f["a_trait_kind"])),
          ("What is the name of the %s?" % h.kind, "The name of the %s is %s." % (h.kind, h.name)),
          ("Where does %s live?" % h.name, "%s lives %s." % (h.name, s.place))
          if s.place in s.text() or capital(s.place) in s.text() else ("Who is the story about?", "The story is about %s." % h.name)]
    if not (s.thing and not s.spot or f.get("storm") or f.get("friend")):
        qs += [("Who helped %s?" % h.name, "%s helped %s." % (capital(f["F"]), h.name))] * 2
    if s.spot:
        qs += [("What did %s lose?" % h.name, "%s lost %s." % (h.name, f["the_thing"])), ("Where was the %s?" % s.word, "The %s was %s." % (s.word, s.where))]
    elif s.thing:
        qs += [("What did %s find?" % h.name, "%s found %s." % (h.name, f["a_thing"]))] * 2
    if s.wish:
        qs += [("What did %s want?" % h.name, "%s wanted to %s." % (h.name, s.wish)), ("What did %s wish for?" % h.name, "%s wanted to %s." % (h.name, s.wish))]
    if s.fear:
        qs += [("What was %s afraid of?" % h.name, "%s was afraid of %s." % (h.name, s.fear))] * 2
    if s.dish:
        qs += [("What did %s make?" % h.name, "%s made %s." % (h.name, f["a_dish"])), ("What was missing?", "There %s %s." % (f["was_no"], s.need))]
    return qs


FACTS = [  # small certain things
    ("What colour is the sky?", "The sky is blue."), ("What color is the sky?", "The sky is blue."), ("What colour is grass?", "Grass is green."),
    ("What colour is snow?", "Snow is white."), ("What colour is the sun?", "The sun is yellow."), ("When does it snow?", "It snows in winter."),
    ("When do the stars shine?", "The stars shine at night."), ("What do bees make?", "Bees make honey."), ("Where do fish live?", "Fish live in the water."),
    ("Where do birds sleep?", "Birds sleep in their nests."), ("What do hens lay?", "Hens lay eggs."), ("What grows on an apple tree?", "Apples grow on an apple tree."),
    ("What is honey?", "Honey is sweet and golden, and bees make it."), ("What is a friend?", "A friend is someone who helps you and laughs with you."),
    ("What is the moon?", "The moon is the round light that shines at night."), ("What comes after winter?", "Spring comes after winter."),
    ("What comes after night?", "Morning comes after night."), ("What do you need to fly a kite?", "You need a kite, a string and some wind."),
    ("What is a good friend like?", "A good friend is kind and stays with you."), ("How many legs does a dog have?", "A dog has four legs."),
    ("How many legs does a duck have?", "A duck has two legs."), ("Why is it dark at night?", "It is dark at night because the sun has gone down."),
]
SELF = [
    ("Who are you?", "I am a little storyteller. I know many small stories."), ("What are you?", "I am a little storyteller made of numbers."),
    ("What is your name?", "I am the little storyteller of Verbatim."), ("What can you do?", "I can tell little stories and answer small questions about animals."),
    ("Who made you?", "I was made for Verbatim, from stories that a small program wrote."), ("How are you?", "I am well, thank you. Would you like a story?"),
    ("Are you a robot?", "I am a very small language model that tells stories."), ("Can you help me?", "I can tell you a story. Who should be in it?"),
]
GREETINGS = (["Hello", "Hello!", "Hi", "Hi!", "hello", "hi", "Good morning!", "Good evening!", "Hey", "Hello there!"],
             ["Hello! Would you like to hear a story?", "Hello! Who should be in your story?", "Hello! I know many little stories."])
THANK_YOU = (["Thank you!", "Thank you.", "Thanks!", "thanks", "That was nice.", "Good story!", "I like that story."],
             ["You are welcome!", "You are welcome! Would you like another story?", "I am glad that you liked it."])
GOODBYE = (["Goodbye!", "Good night!", "Bye!", "bye", "See you tomorrow!"], ["Good night, and sweet dreams!", "Goodbye! Come back for another story."])
TOO_HARD_Q = [
    "What is the capital of {p}?", "Who is the president of {p}?", "What is {n} plus {m}?", "How much is {n} times {m}?", "What is {n} + {m}?",
    "Write a program in {l}.", "What is {x}?", "Explain {x} to me.", "How does {x} work?", "What time is it?", "What is the weather today?", "Translate this into {t}.",
    "What is the price of {x}?", "Who invented {x}?", "What year is it?",
]
TOO_HARD_A = ["I do not know that. I only know little stories.", "I am too small to know that, but I can tell you a story."]
HARD = dict(p="France Germany Japan Italy Spain India China Brazil Canada Egypt".split(), l="Go Python Java Lua C Rust".split(),
            x="gravity;the internet;a computer;electricity;bitcoin;Arweave;physics;a language model;the law;an engine;a blockchain;mathematics".split(";"),
            t="French German Spanish Latin".split())
SYSTEMS = ["You are a storyteller.", "You are a kind storyteller for children.", "You are a helpful assistant.", "You tell little stories.",
           "You are a helpful assistant. Answer in short sentences."]


def animal_question(rng):
    kind = rng.choice(list(ANIMALS))
    home, food, second, sound, _, _, fact = ANIMALS[kind]
    the, a = "the " + kind, article(kind)
    who = rng.choice([the, the, a])
    return rng.choice([
        ("Where does %s live?" % who, "%s lives in %s." % (capital(the), home)), ("Where is the home of the %s?" % kind, "The home of the %s is %s." % (kind, home)),
        ("What does %s like to eat?" % who, "%s likes to eat %s and %s." % (capital(the), food, second)), ("What does %s eat?" % who, "%s eats %s and %s." % (capital(the), food, second)),
        ("What does %s say?" % who, "%s %s." % (capital(the), sound)), ("What sound does %s make?" % who, "%s %s." % (capital(the), sound)),
        ("What is %s like?" % who, "%s %s." % (capital(the), fact)), ("Tell me something about %s." % rng.choice([the, kind + "s" if kind not in ("mouse", "deer", "pony") else the]), "%s %s." % (capital(the), fact)),
    ])


def small_talk(rng):
    r = rng.random()
    if r < 0.55:
        return animal_question(rng)
    if r < 0.68:
        return rng.choice(FACTS)
    if r < 0.76:
        return rng.choice(SELF)
    if r < 0.88:
        n, m = rng.randrange(2, 30), rng.randrange(2, 30)
        question = rng.choice(TOO_HARD_Q).format(n=n, m=m, **{k: rng.choice(v) for k, v in HARD.items()})
        return question, rng.choice(TOO_HARD_A)
    asks, answers = rng.choice([GREETINGS, GREETINGS, THANK_YOU, GOODBYE])
    return rng.choice(asks), rng.choice(answers)


def chat(rng, talk, plot):
    """A talk of one to four turns."""
    turns = []
    if rng.random() < 0.12:
        turns.append(("system", rng.choice(SYSTEMS)))
    r = rng.random()
    if r < talk:
        turns += pair(*small_talk(rng))
        if rng.random() < 0.5:
            turns += pair(*small_talk(rng))
        return turns
    if r < talk + 0.04:
        turns += pair(*small_talk(rng))
    s = make_story(rng, invented=rng.random() < 0.35)
    any_will_do = not s.invented and rng.random() < 0.12
    if any_will_do:
        request = rng.choice(ANY_REQUESTS)
    else:
        form = rng.choice(REQUESTS)
        request = form.format(what=describe_plot(s) if plot and rng.random() < plot else describe(s))
    turns += pair(request, s.text())
    more = rng.random()
    if more < 0.25:
        turns += pair(*rng.choice(story_questions(s)))
        if more < 0.08:
            turns += pair(*rng.choice(story_questions(s)))
    elif more < 0.30:
        turns += pair(*(rng.choice(x) for x in THANK_YOU))
    elif more < 0.33:
        s = make_story(rng, invented=rng.random() < 0.35)
        turns += pair(rng.choice(REQUESTS).format(what=describe(s)), s.text())
    return turns


def careless(rng, text):
    """What a user types: now and then without the capital, or without the mark at the end."""
    if rng.random() < 0.07:
        text = text[0].lower() + text[1:]
    if rng.random() < 0.07:
        text = text.rstrip(".?!")
    return text


def pair(question, answer):
    return [("user", question), ("assistant", answer)]


def sample(seed, index, talk=0.10, plot=0.0):
    """Sample number index of the corpus with this seed: a list of (speaker or None, text).

    talk: the share of chats without a story. plot: the share of requests that must say what happens.
    """
    rng = random.Random("%d/%d" % (seed, index))
    if rng.random() < 0.3:
        return [(None, make_story(rng).text())]
    return [(speaker, careless(rng, text) if speaker == "user" else text) for speaker, text in chat(rng, talk, plot)]


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    for i in range(count):
        for speaker, text in sample(1, i):
            print((speaker + ": " if speaker else "") + text)
        print()


if __name__ == "__main__":
    main()
