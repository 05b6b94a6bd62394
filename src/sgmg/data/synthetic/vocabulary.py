"""Words for things: kinds with their names, families of kinds that look alike, colours, garments.

A *kind* is the everyday word for a class of things ("dog"); a *family* holds kinds that a viewer may
take for each other ("dog", "wolf", "fox"), so that no sentence has to decide between them.
"""

from dataclasses import dataclass

COLORS = (
    "red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white", "gray", "cyan",
)  # fmt: skip

# Pairs that people name differently from each other: where one is asked for, the other decides nothing.
_NEAR_COLORS = {
    frozenset(pair)
    for pair in (
        ("red", "orange"), ("red", "pink"), ("red", "brown"), ("pink", "purple"), ("orange", "yellow"),
        ("orange", "brown"), ("blue", "purple"), ("blue", "cyan"), ("green", "cyan"), ("gray", "white"),
        ("gray", "black"), ("brown", "black"), ("beige", "white"), ("beige", "brown"), ("beige", "yellow"),
        ("beige", "gray"), ("beige", "pink"), ("beige", "orange"), ("brown", "yellow"), ("yellow", "green"),
        ("purple", "red"), ("gray", "blue"), ("gray", "brown"), ("gray", "green"), ("blue", "black"),
    )
}  # fmt: skip

COLOR_SYNONYMS = {"gray": ("gray", "grey"), "purple": ("purple", "violet"), "cyan": ("cyan", "turquoise")}


def near_colors(one: str, other: str) -> bool:
    """Whether two colour names are the same or may be used for the same thing."""
    return one == other or frozenset((one, other)) in _NEAR_COLORS


@dataclass(frozen=True)
class Kind:
    """What is known of a class of things.

    Attributes:
        name: the everyday word.
        family: kinds of one family may be taken for each other.
        size: "person", "large", "medium", "small" or "shape": how much of the frame it usually fills.
        moves: "walk", "drive", "fly", "swim", "roll", "carry" or "shape": which motions and verbs suit it.
        tintable: its colour may be changed without making another thing of it.
        words: further words that are true of every member.
    """

    name: str
    family: str
    size: str = "medium"
    moves: str = "carry"
    tintable: bool = False
    words: tuple[str, ...] = ()


# name | family | size | moves | t where it may be tinted | further words
_TABLE = """
person | person | person | walk | |
dog | canine | medium | walk | | doggy, animal
wolf | canine | medium | walk | | animal
fox | canine | medium | walk | | animal
hyena | canine | medium | walk | | animal
cat | feline | medium | walk | | animal
cougar | feline | medium | walk | | animal
leopard | feline | medium | walk | | animal
tiger | feline | medium | walk | | animal
bird | bird | small | walk | | animal
duck | bird | small | walk | | bird, animal
goose | bird | small | walk | | bird, animal
swan | bird | small | swim | | bird, animal
penguin | bird | medium | walk | | bird, animal
rooster | bird | small | walk | | bird, chicken, animal
chicken | bird | small | walk | | bird, animal
owl | bird | small | fly | | bird, animal
parrot | bird | small | fly | | bird, animal
flamingo | bird | medium | walk | | bird, animal
ostrich | bird | medium | walk | | bird, animal
emu | bird | medium | walk | | bird, animal
pigeon | bird | small | walk | | bird, animal
ibis | bird | medium | walk | | bird, animal
eagle | bird | small | fly | | bird, animal
fish | fish | small | swim | | animal
shark | fish | medium | swim | | fish, animal
dolphin | fish | medium | swim | | animal
seahorse | seahorse | small | swim | | animal
seal | seal | medium | walk | | animal
frog | reptile | small | walk | | animal
salamander | reptile | small | walk | | animal
lizard | reptile | small | walk | | animal, reptile
crocodile | reptile | medium | walk | | animal, reptile
turtle | turtle | small | walk | | animal
snake | snake | small | walk | | animal
dinosaur | dinosaur | medium | walk | |
trilobite | fossil | small | carry | | fossil
shell | shell | small | carry | |
snail | shell | small | walk | | animal
elephant | elephant | large | walk | | animal
rhinoceros | elephant | large | walk | | rhino, animal
hippopotamus | elephant | large | walk | | hippo, animal
kangaroo | kangaroo | medium | walk | | animal
koala | bear | medium | walk | | animal
bear | bear | medium | walk | | animal
panda | bear | medium | walk | | animal
red panda | bear | medium | walk | | animal
monkey | monkey | medium | walk | | animal
rabbit | rodent | small | walk | | animal
squirrel | rodent | small | walk | | animal
beaver | rodent | small | walk | | animal
marmot | rodent | small | walk | | animal
hedgehog | rodent | small | walk | | animal
platypus | rodent | small | walk | | animal
otter | rodent | small | walk | | animal
skunk | rodent | small | walk | | animal
badger | rodent | small | walk | | animal
ferret | rodent | small | walk | | animal
mongoose | rodent | small | walk | | animal
meerkat | rodent | small | walk | | animal
horse | hoofed | large | walk | | animal
zebra | hoofed | large | walk | | animal
cow | hoofed | large | walk | | animal
buffalo | hoofed | large | walk | | animal
pig | hoofed | medium | walk | | animal
sheep | hoofed | medium | walk | | animal
goat | hoofed | medium | walk | | animal
antelope | hoofed | medium | walk | | animal
llama | hoofed | medium | walk | | animal
okapi | hoofed | medium | walk | | animal
beetle | insect | small | walk | | insect, bug
ant | insect | small | walk | | insect, bug
insect | insect | small | walk | | bug
tick | insect | small | walk | | bug
scorpion | crustacean | small | walk | | animal
butterfly | butterfly | small | fly | | insect
crab | crustacean | small | walk | | animal
lobster | crustacean | small | walk | | animal
crayfish | crustacean | small | walk | | animal
octopus | octopus | small | swim | | animal
starfish | star | small | carry | |
car | road | large | drive | t | vehicle
bus | road | large | drive | | vehicle
truck | road | large | drive | | vehicle
van | road | large | drive | | vehicle
ambulance | road | large | drive | | vehicle
fire truck | road | large | drive | | truck, vehicle
tractor | road | large | drive | | vehicle
forklift | road | large | drive | | vehicle
golf cart | road | large | drive | | vehicle
tank | road | large | drive | | vehicle
motorbike | bike | large | drive | | motorcycle, vehicle
bicycle | bike | large | drive | | bike, vehicle
train | train | large | drive | | vehicle
tram | train | large | drive | | vehicle
airplane | aircraft | medium | fly | | plane
helicopter | aircraft | medium | fly | |
airship | balloon | medium | fly | |
balloon | balloon | medium | fly | |
rocket | rocket | medium | fly | |
boat | boat | medium | swim | |
ship | boat | medium | swim | | boat
wheelchair | seat | medium | drive | |
chair | seat | medium | carry | t |
bench | seat | medium | carry | |
sofa | seat | large | carry | | couch
table | table | large | carry | |
bed | bed | large | carry | |
ball | ball | small | roll | t |
cup | vessel | small | carry | t |
bowl | vessel | small | carry | |
jug | vessel | small | carry | | pitcher
teapot | vessel | small | carry | |
bucket | vessel | small | carry | t |
bottle | bottle | small | carry | |
barrel | barrel | medium | carry | |
pan | pan | small | carry | |
laptop | screen | small | carry | | computer
computer | screen | medium | carry | |
monitor | screen | small | carry | | screen
phone | handheld | small | carry | | cellphone
camera | handheld | small | carry | |
remote control | handheld | small | carry | | remote
binoculars | handheld | small | carry | |
watch | clock | small | carry | |
clock | clock | small | carry | |
metronome | clock | small | carry | |
compass | clock | small | carry | |
lamp | lamp | small | carry | |
chandelier | lamp | small | carry | |
candlestick | lamp | small | carry | |
fan | fan | small | carry | |
umbrella | umbrella | medium | carry | t |
bag | bag | small | carry | |
basket | bag | small | carry | |
box | box | small | carry | |
crate | box | small | carry | | box
guitar | strings | small | carry | |
mandolin | strings | small | carry | |
cello | strings | medium | carry | |
saxophone | brass | small | carry | |
trumpet | brass | small | carry | |
horn | brass | small | carry | |
gramophone | brass | small | carry | |
piano | piano | large | carry | |
accordion | accordion | small | carry | |
drum | drum | small | carry | |
gun | gun | small | carry | |
cannon | gun | medium | carry | |
scissors | tool | small | carry | |
wrench | tool | small | carry | |
hammer | tool | small | carry | |
spoon | tool | small | carry | |
stapler | stapler | small | carry | t |
anchor | anchor | small | carry | |
pizza | food | small | carry | |
bread | food | small | carry | |
cake | food | small | carry | |
strawberry | fruit | small | carry | | fruit
banana | fruit | small | carry | | fruit
pineapple | fruit | small | carry | | fruit
orange | fruit | small | carry | | fruit
pomegranate | fruit | small | carry | | fruit
pepper | fruit | small | carry | | vegetable
broccoli | vegetable | small | carry | | vegetable
cabbage | vegetable | small | carry | | vegetable
pumpkin | vegetable | small | carry | | vegetable
mushroom | mushroom | small | carry | |
flower | flower | small | carry | |
tree | plant | medium | carry | |
bonsai | plant | medium | carry | | potted tree
statue | figure | medium | carry | |
teddy bear | figure | small | carry | | teddy, toy
piggy bank | figure | small | carry | |
shoe | footwear | small | carry | |
boot | footwear | small | carry | |
skate | footwear | small | carry | |
hat | headwear | small | carry | |
helmet | headwear | small | carry | |
mask | headwear | small | carry | |
shirt | clothing | small | carry | | t-shirt
vest | clothing | small | carry | |
sunglasses | glasses | small | carry | | glasses
headphones | headphones | small | carry | |
sign | sign | medium | carry | |
stop sign | sign | medium | carry | | sign
mailbox | post | medium | carry | |
refrigerator | appliance | large | carry | | fridge
microwave | appliance | small | carry | |
toaster | appliance | small | carry | |
stove | appliance | medium | carry | |
toilet | appliance | medium | carry | |
tent | building | medium | carry | |
lighthouse | building | medium | carry | |
castle | building | large | carry | |
hair dryer | tool | small | carry | |
wheelbarrow | cart | medium | carry | |
shopping cart | cart | medium | carry | |
lion | feline | medium | walk | | animal
ox | hoofed | large | walk | | animal
moose | hoofed | large | walk | | animal
camel | hoofed | large | walk | | animal
donkey | hoofed | large | walk | | animal
giraffe | hoofed | large | walk | | animal
deer | hoofed | medium | walk | | animal
wild boar | hoofed | medium | walk | | animal
gorilla | monkey | medium | walk | | ape, animal
orangutan | monkey | medium | walk | | ape, animal
sloth | monkey | medium | walk | | animal
mouse | rodent | small | walk | | animal
rat | rodent | small | walk | | animal
hamster | rodent | small | walk | | animal
raccoon | rodent | small | walk | | animal
bat | bird | small | fly | | animal
turkey | bird | small | walk | | bird, animal
chick | bird | small | walk | | bird, animal
peacock | bird | small | walk | | bird, animal
whale | fish | large | swim | | animal
squid | octopus | small | swim | | animal
jellyfish | octopus | small | swim | | animal
shrimp | crustacean | small | walk | | animal
oyster | shell | small | carry | |
caterpillar | insect | small | walk | | bug
bee | insect | small | fly | | insect, bug
mosquito | insect | small | fly | | insect, bug
housefly | insect | small | fly | | insect, bug
cricket | insect | small | walk | | insect, bug
cockroach | insect | small | walk | | insect, bug
spider | insect | small | walk | | bug
earthworm | snake | small | walk | | animal
bouquet | flower | small | carry | |
seedling | plant | small | carry | |
wheat | plant | small | carry | |
herb | plant | small | carry | |
clover | plant | small | carry | |
leaf | plant | small | carry | |
potted plant | plant | medium | carry | |
cactus | plant | medium | carry | |
log | log | medium | carry | |
rock | rock | medium | carry | |
feather | feather | small | carry | |
nest | nest | small | carry | |
grapes | fruit | small | carry | | fruit
melon | fruit | small | carry | | fruit
watermelon | fruit | small | carry | | fruit
lemon | fruit | small | carry | | fruit
mango | fruit | small | carry | | fruit
apple | fruit | small | carry | | fruit
pear | fruit | small | carry | | fruit
peach | fruit | small | carry | | fruit
cherries | fruit | small | carry | | fruit
blueberries | fruit | small | carry | | fruit
kiwi | fruit | small | carry | | fruit
coconut | fruit | small | carry | | fruit
tomato | fruit | small | carry | |
olive | fruit | small | carry | |
avocado | fruit | small | carry | |
chestnut | fruit | small | carry | |
eggplant | vegetable | small | carry | | vegetable
potato | vegetable | small | carry | | vegetable
sweet potato | vegetable | small | carry | | vegetable
carrot | vegetable | small | carry | | vegetable
cucumber | vegetable | small | carry | | vegetable
lettuce | vegetable | small | carry | | vegetable
garlic | vegetable | small | carry | | vegetable
onion | vegetable | small | carry | | vegetable
corn | vegetable | small | carry | |
peanuts | vegetable | small | carry | |
beans | vegetable | small | carry | |
ginger | vegetable | small | carry | |
pea pod | vegetable | small | carry | |
croissant | food | small | carry | |
pretzel | food | small | carry | |
bagel | food | small | carry | |
pancakes | food | small | carry | |
waffle | food | small | carry | |
cheese | food | small | carry | |
meat | food | small | carry | |
chicken leg | food | small | carry | |
steak | food | small | carry | |
bacon | food | small | carry | |
hamburger | food | small | carry | |
french fries | food | small | carry | |
hot dog | food | small | carry | |
sandwich | food | small | carry | |
taco | food | small | carry | |
burrito | food | small | carry | |
pita | food | small | carry | |
egg | food | small | carry | |
salad | food | small | carry | |
popcorn | food | small | carry | |
butter | food | small | carry | |
lunch box | food | small | carry | |
rice ball | food | small | carry | |
bowl of rice | food | small | carry | |
pot of stew | food | small | carry | |
spaghetti | food | small | carry | |
sushi | food | small | carry | |
fried shrimp | food | small | carry | |
dumpling | food | small | carry | |
cookie | food | small | carry | |
ice cream | food | small | carry | |
doughnut | food | small | carry | |
cupcake | food | small | carry | |
pie | food | small | carry | |
chocolate bar | food | small | carry | |
candy | food | small | carry | |
lollipop | food | small | carry | |
pudding | food | small | carry | |
jar | vessel | small | carry | |
honey pot | vessel | small | carry | |
glass of milk | vessel | small | carry | |
wine glass | vessel | small | carry | |
cocktail | vessel | small | carry | |
beer mug | vessel | small | carry | |
tumbler | vessel | small | carry | |
plate | vessel | small | carry | |
vase | vessel | small | carry | |
tin can | bottle | small | carry | |
salt shaker | bottle | small | carry | |
juice box | box | small | carry | |
takeout box | box | small | carry | |
chopsticks | tool | small | carry | |
kitchen knife | tool | small | carry | |
scooter | bike | large | drive | | vehicle
auto rickshaw | road | large | drive | | vehicle
skateboard | cart | small | roll | |
sled | cart | medium | carry | |
satellite | rocket | medium | fly | |
wheel | wheel | small | roll | |
lifebuoy | wheel | small | carry | |
dartboard | wheel | small | carry | |
medal | wheel | small | carry | |
coin | wheel | small | carry | |
gas pump | appliance | medium | carry | |
traffic light | sign | medium | carry | |
tennis racket | racket | small | carry | |
badminton racket | racket | small | carry | |
table tennis paddle | racket | small | carry | |
lacrosse stick | racket | small | carry | |
boxing glove | glove | small | carry | |
gloves | glove | small | carry | |
martial arts uniform | clothing | small | carry | |
goal | goal | large | carry | |
skis | footwear | small | carry | |
curling stone | pan | small | carry | |
bow and arrow | bow | small | carry | |
diving mask | glasses | small | carry | |
glasses | glasses | small | carry | |
goggles | glasses | small | carry | |
trophy | vessel | small | carry | |
kite | kite | medium | fly | |
yo-yo | toy | small | carry | |
boomerang | toy | small | carry | |
die | toy | small | carry | |
puzzle piece | toy | small | carry | |
chess piece | toy | small | carry | |
pinata | toy | small | carry | |
nesting doll | figure | small | carry | |
game controller | handheld | small | carry | |
joystick | handheld | small | carry | |
carousel horse | hoofed | medium | carry | |
playground slide | slide | large | carry | |
violin | strings | small | carry | |
banjo | strings | small | carry | |
maracas | drum | small | carry | |
flute | brass | small | carry | |
piano keyboard | piano | small | carry | |
microphone | microphone | small | carry | |
radio | handheld | small | carry | |
rotary phone | handheld | small | carry | |
phone receiver | handheld | small | carry | |
video camera | handheld | small | carry | |
movie camera | handheld | small | carry | |
film projector | handheld | small | carry | |
television | screen | medium | carry | |
computer keyboard | computer part | small | carry | |
computer mouse | computer part | small | carry | |
printer | computer part | small | carry | |
battery | bottle | small | carry | |
power plug | plug | small | carry | |
light bulb | lamp | small | carry | |
flashlight | lamp | small | carry | |
candle | lamp | small | carry | |
lantern | lamp | small | carry | |
stopwatch | clock | small | carry | |
timer | clock | small | carry | |
hourglass | clock | small | carry | |
thermometer | thermometer | small | carry | |
magnifying glass | lens | small | carry | |
microscope | lens | small | carry | |
telescope | lens | small | carry | |
test tube | bottle | small | carry | |
abacus | toy | small | carry | |
balance scale | scale | small | carry | |
globe | ball | small | carry | |
axe | tool | small | carry | |
pickaxe | tool | small | carry | |
screwdriver | tool | small | carry | |
saw | tool | small | carry | |
razor | tool | small | carry | |
comb | tool | small | carry | |
toothbrush | tool | small | carry | |
broom | tool | small | carry | |
plunger | tool | small | carry | |
dagger | tool | small | carry | |
bolt | metal part | small | carry | |
gear | metal part | small | carry | |
clamp | metal part | small | carry | |
magnet | metal part | small | carry | |
hook | metal part | small | carry | |
chain | metal part | small | carry | |
padlock | metal part | small | carry | |
key | metal part | small | carry | |
toolbox | box | small | carry | |
ladder | ladder | medium | carry | |
brick | brick | small | carry | |
fire extinguisher | bottle | small | carry | |
shield | shield | small | carry | |
water pistol | gun | small | carry | |
bomb | ball | small | carry | |
pushpin | pin | small | carry | |
safety pin | pin | small | carry | |
needle | pin | small | carry | |
ruler | ruler | small | carry | |
set square | ruler | small | carry | |
pencil | pen | small | carry | |
pen | pen | small | carry | |
crayon | pen | small | carry | |
paintbrush | pen | small | carry | |
palette | palette | small | carry | |
picture frame | picture | medium | carry | |
book | book | small | carry | |
notepad | book | small | carry | |
stack of books | book | small | carry | |
clipboard | paper | small | carry | |
scroll | paper | small | carry | |
newspaper | paper | small | carry | |
envelope | paper | small | carry | |
credit card | paper | small | carry | |
gift | box | small | carry | |
postbox | post | medium | carry | |
filing cabinet | box | medium | carry | |
wastebasket | vessel | small | carry | |
bell | bell | small | carry | |
megaphone | brass | small | carry | |
barber pole | post | medium | carry | |
bathtub | appliance | large | carry | |
mirror | mirror | small | carry | |
soap | soap | small | carry | |
sponge | soap | small | carry | |
toilet paper | soap | small | carry | |
thread | thread | small | carry | |
yarn | thread | small | carry | |
mousetrap | box | small | carry | |
syringe | medicine | small | carry | |
pill | medicine | small | carry | |
plaster | medicine | small | carry | |
lipstick | medicine | small | carry | |
stethoscope | headphones | small | carry | |
crutch | tool | small | carry | |
hand fan | fan | small | carry | |
suitcase | bag | small | carry | |
backpack | bag | small | carry | |
briefcase | bag | small | carry | |
tank top | clothing | small | carry | |
blouse | clothing | small | carry | |
jeans | clothing | small | carry | |
shorts | clothing | small | carry | |
briefs | clothing | small | carry | |
dress | clothing | small | carry | |
kimono | clothing | small | carry | |
sari | clothing | small | carry | |
bikini | clothing | small | carry | |
swimsuit | clothing | small | carry | |
coat | clothing | small | carry | |
scarf | clothing | small | carry | |
cap | headwear | small | carry | |
crown | headwear | small | carry | |
socks | footwear | small | carry | |
sandal | footwear | small | carry | |
flip-flop | footwear | small | carry | |
ballet shoes | footwear | small | carry | |
diamond ring | jewellery | small | carry | |
ribbon | jewellery | small | carry | |
"""


def _read_table() -> dict[str, Kind]:
    kinds = {}
    for line in _TABLE.strip().splitlines():
        name, family, size, moves, tint, words = (cell.strip() for cell in line.split("|"))
        further = tuple(word.strip() for word in words.split(",") if word.strip())
        kinds[name] = Kind(name, family, size, moves, tint == "t", further)
    return kinds


KINDS = _read_table()

# ImageNet classes by index range (both ends included) and the everyday kind of their members.
_IMAGENET_RANGES = (
    (0, 1, "fish"), (2, 4, "shark"), (5, 6, "fish"), (7, 7, "rooster"), (8, 8, "chicken"), (9, 9, "ostrich"),
    (10, 21, "bird"), (22, 22, "eagle"), (23, 23, "bird"), (24, 24, "owl"), (25, 29, "salamander"),
    (30, 32, "frog"), (33, 37, "turtle"), (38, 48, "lizard"), (49, 50, "crocodile"), (51, 51, "dinosaur"),
    (52, 68, "snake"), (69, 69, "trilobite"), (71, 71, "scorpion"), (72, 77, "spider"), (78, 78, "tick"),
    (80, 86, "bird"),
    (87, 90, "parrot"), (91, 96, "bird"), (97, 98, "duck"), (99, 99, "goose"), (100, 100, "swan"),
    (101, 101, "elephant"), (103, 103, "platypus"), (104, 104, "kangaroo"), (105, 105, "koala"),
    (113, 113, "snail"), (117, 117, "shell"), (118, 121, "crab"), (122, 123, "lobster"),
    (124, 124, "crayfish"), (127, 129, "bird"), (130, 130, "flamingo"), (131, 144, "bird"),
    (145, 145, "penguin"), (150, 150, "seal"), (151, 268, "dog"), (269, 272, "wolf"), (273, 275, "dog"),
    (276, 276, "hyena"), (277, 280, "fox"), (281, 285, "cat"), (286, 286, "cougar"), (288, 290, "leopard"),
    (292, 292, "tiger"), (294, 297, "bear"), (298, 298, "mongoose"), (299, 299, "meerkat"),
    (300, 307, "beetle"), (310, 310, "ant"), (308, 320, "insect"), (321, 326, "butterfly"),
    (327, 327, "starfish"), (330, 332, "rabbit"), (335, 335, "squirrel"), (336, 336, "marmot"),
    (337, 337, "beaver"), (339, 339, "horse"), (340, 340, "zebra"), (341, 343, "pig"),
    (344, 344, "hippopotamus"), (345, 345, "cow"), (346, 347, "buffalo"), (348, 349, "sheep"),
    (350, 350, "goat"), (351, 353, "antelope"), (355, 355, "llama"), (359, 359, "ferret"),
    (360, 360, "otter"), (361, 361, "skunk"), (362, 362, "badger"), (365, 384, "monkey"),
    (385, 386, "elephant"), (387, 387, "red panda"), (388, 388, "panda"), (389, 397, "fish"),
)  # fmt: skip

# Everyday kinds of things that ImageNet names in a fancy way. What stands here is spoken of by its kind.
_IMAGENET_THINGS = {
    405: "airship", 407: "ambulance", 409: "clock", 412: "bucket", 413: "gun", 417: "balloon",
    428: "wheelbarrow", 429: "ball", 436: "car", 437: "lighthouse", 447: "binoculars", 463: "bucket",
    465: "vest", 466: "train", 472: "boat", 478: "box", 484: "boat", 486: "cello", 503: "cup", 504: "cup",
    511: "car", 513: "trumpet", 514: "boot", 519: "crate", 520: "bed", 527: "computer", 528: "phone",
    532: "table", 541: "drum", 544: "pan", 545: "fan", 555: "fire truck", 561: "forklift", 565: "train",
    574: "ball", 575: "golf cart", 579: "piano", 581: "car", 589: "hair dryer", 609: "car", 610: "shirt",
    618: "spoon", 619: "lamp", 625: "boat", 627: "car", 630: "shoe", 635: "compass", 636: "bag",
    637: "mailbox", 651: "microwave", 654: "van", 656: "car", 662: "laptop", 664: "monitor", 672: "tent",
    681: "laptop", 705: "train", 717: "truck", 719: "piggy bank", 720: "bottle", 724: "ship", 737: "bottle",
    748: "bag", 751: "car", 760: "refrigerator", 761: "remote control", 779: "bus", 790: "basket",
    803: "truck", 809: "bowl", 814: "boat", 817: "car", 820: "train", 827: "stove", 829: "tram",
    836: "sunglasses", 846: "lamp", 847: "tank", 849: "teapot", 850: "teddy bear", 859: "toaster",
    861: "toilet", 866: "tractor", 867: "truck", 874: "bus", 898: "bottle", 901: "jug", 909: "pan",
    910: "spoon", 914: "boat", 926: "pan", 930: "bread", 936: "cabbage", 937: "broccoli", 940: "pumpkin",
    941: "pumpkin", 945: "pepper", 947: "mushroom", 949: "strawberry", 950: "orange", 953: "pineapple",
    954: "banana", 957: "pomegranate", 963: "pizza", 985: "flower", 992: "mushroom", 993: "mushroom",
    996: "mushroom", 673: "computer mouse", 999: "toilet paper",
}  # fmt: skip

# Members of imagenet-sample-images whose photograph shows a person with the thing, several things, or
# something that nobody would call by the name.
IMAGENET_UNCLEAR = frozenset((
    269, 359, 412, 417, 472, 504, 514, 561, 565, 625, 630,
    116, 126, 151, 163, 164, 168, 183, 202, 203, 204, 229, 257, 266, 318, 346, 353, 389, 395, 399, 400, 408,
    411, 419, 430, 431, 432, 434, 450, 451, 452, 456, 464, 480, 490, 494, 496, 506, 507, 515, 518, 521, 524,
    529, 531, 537, 543, 551, 553, 560, 563, 567, 570, 573, 584, 585, 587, 591, 592, 595, 596, 597, 601, 602,
    612, 616, 622, 623, 638, 640, 644, 649, 661, 667, 670, 674, 678, 679, 680, 682, 684, 686, 690, 695, 697,
    698, 700, 701, 704, 709, 710, 715, 723, 732, 744, 746, 755, 758, 766, 775, 776, 778, 787, 791, 795, 796,
    801, 802, 808, 810, 811, 816, 819, 824, 841, 842, 848, 851, 852, 856, 868, 869, 875, 885, 887, 890, 896,
    900, 903, 905, 911, 916, 925, 929, 939, 952, 956, 964, 969, 982, 988, 990, 995,
))  # fmt: skip

# Pictures of Caltech-101 that show more than the thing they are named after, or something else.
UNCLEAR_FILES = frozenset((
    "anchor_0007", "bass_0035", "cannon_0022", "car_side_0076", "cup_0044", "elephant_0048",
    "gramophone_0042", "lamp_0051", "llama_0067", "llama_0077", "lotus_0020", "mandolin_0013",
    "motorbikes_0224", "motorbikes_0233", "motorbikes_0311", "motorbikes_0596", "octopus_0024", "okapi_0014",
    "pizza_0048",
    "revolver_0066", "saxophone_0035", "sea_horse_0049", "wheelchair_0019", "wheelchair_0024",
    "wheelchair_0027", "wrench_0024", "wrench_0027",
))  # fmt: skip

# Cutouts named otherwise than by an ImageNet class: the kind of a first name that is not itself a kind.
_KIND_OF_NAME = {
    "soccer ball": "ball", "dalmatian": "dog", "rhinoceros": "rhinoceros", "nautilus": "shell",
    "grand piano": "piano", "sunflower": "flower", "buddha statue": "statue", "lotus": "flower",
    "cell phone": "phone", "inline skate": "skate", "wild cat": "cat", "euphonium": "horn",
    "ferry": "ship", "sailing boat": "boat", "revolver": "gun", "sailing ship": "ship",
    "water lily": "flower", "electric guitar": "guitar", "ceiling fan": "fan",
}  # fmt: skip

# Words that nobody would say of what the picture shows.
_UNUSED_WORDS = {
    "football", "notebook computer", "notebook", "horn", "brontosaurus", "stegosaurus", "potted tree",
    "big cat", "fossil", "wild cat", "lotus", "ferry", "ananas", "chrysomelid", "emmet", "coach", "lawn cart",
    "crampfish", "polecat", "blower", "stewpan", "trump", "grand", "board", "mail", "bullet", "pirate", "file",
    "racer", "rig", "boxer", "agama", "clumber", "cairn", "beacon", "projectile", "reel", "recorder",
}  # fmt: skip


# Words that no training ever says, so that a test can ask by them: true of every member of their kind.
HELD_OUT_SYNONYMS = {
    "dog": ("pooch", "canine"), "cat": ("kitty", "feline"), "car": ("automobile", "motorcar"),
    "motorbike": ("two-wheeler",), "airplane": ("jet", "aeroplane"), "helicopter": ("chopper",),
    "boat": ("watercraft",), "ship": ("seagoing vessel",), "bus": ("motor coach",), "truck": ("lorry",),
    "phone": ("mobile phone", "telephone"), "laptop": ("portable computer",), "camera": ("photo camera",),
    "monitor": ("display",), "watch": ("timepiece",), "cup": ("drinking cup",), "bottle": ("flask",),
    "sofa": ("settee",), "umbrella": ("parasol", "brolly"), "ball": ("sphere",), "gun": ("firearm",),
    "piano": ("keyboard instrument",), "scissors": ("shears",), "pizza": ("pizza pie",), "flower": ("blossom",),
    "elephant": ("pachyderm",), "crocodile": ("croc",), "turtle": ("tortoise",), "rabbit": ("bunny",),
    "horse": ("steed",), "cow": ("bovine",), "pig": ("hog", "swine"), "rooster": ("cockerel",), "pigeon": ("dove",),
    "cougar": ("mountain lion",), "monkey": ("primate",), "dinosaur": ("prehistoric reptile",),
    "wheelchair": ("invalid chair",), "teddy bear": ("plush bear", "stuffed bear"), "headphones": ("earphones",),
    "hat": ("headgear",), "strawberry": ("berry",), "stop sign": ("traffic sign",), "castle": ("fortress",),
    "statue": ("sculpture",), "bag": ("sack",), "guitar": ("six-string instrument",), "refrigerator": ("icebox",),
}  # fmt: skip
_HELD_OUT_WORDS = frozenset(word for words in HELD_OUT_SYNONYMS.values() for word in words)

# Groups whose members a hasty viewer takes for each other: what is asked for and is not there is often one of these.
_CONFUSED = (
    ("dog", "cat", "fox", "rabbit", "horse", "cow", "sheep", "bear", "goat", "pig", "monkey", "kangaroo"),
    ("bird", "butterfly", "airplane", "helicopter", "balloon"),
    ("car", "motorbike", "train", "boat", "bicycle", "airplane", "wheelchair"),
    ("cup", "bottle", "ball", "box", "lamp", "clock", "teddy bear", "bag"),
    ("chair", "table", "bed", "piano", "box"),
    ("phone", "camera", "laptop", "remote control", "watch", "gun"),
    ("fish", "turtle", "snake", "crab", "octopus", "frog"),
    ("guitar", "umbrella", "saxophone", "scissors", "gun", "hammer"),
    ("person", "statue", "monkey", "teddy bear", "dog", "cat"),
    ("pizza", "cake", "banana", "strawberry", "flower", "mushroom", "ball"),
)


def confused_with(name: str) -> tuple[str, ...]:
    """Kinds that a hasty viewer might take for this one, itself left out."""
    return tuple(dict.fromkeys(other for group in _CONFUSED if name in group for other in group if other != name))


def kind_of_imagenet(index: int) -> str | None:
    """The everyday kind of an ImageNet-1k class, or None where there is none here."""
    if index in _IMAGENET_THINGS:
        return _IMAGENET_THINGS[index]
    for first, last, kind in _IMAGENET_RANGES:
        if first <= index <= last:
            return kind
    return None


def kind_of_names(names: list[str]) -> str:
    """The everyday kind of a thing with these names, the most telling first."""
    for name in names:
        if name in _KIND_OF_NAME:
            return _KIND_OF_NAME[name]
        if name in KINDS:
            return name
    return names[0]


def kind(name: str) -> Kind:
    """What is known of a kind; one that nobody described is a family of its own."""
    return KINDS.get(name) or Kind(name, name)


_PLURALS = {"person": "people", "mouse": "mice", "goose": "geese", "sheep": "sheep", "fish": "fish", "wolf": "wolves",
            "scissors": "scissors", "binoculars": "binoculars", "sunglasses": "sunglasses", "headphones": "headphones",
            "bonsai": "bonsai", "broccoli": "broccoli", "deer": "deer", "moose": "moose", "shrimp": "shrimp",
            "squid": "squid", "ox": "oxen", "leaf": "leaves", "kitchen knife": "kitchen knives", "die": "dice",
            "tomato": "tomatoes", "potato": "potatoes", "sweet potato": "sweet potatoes", "mango": "mangoes",
            "computer mouse": "computer mice"} | {name: name for name in (
    "grapes", "cherries", "blueberries", "peanuts", "beans", "pancakes", "french fries", "chopsticks", "skis",
    "maracas", "glasses", "goggles", "jeans", "shorts", "briefs", "gloves", "socks", "ballet shoes",
)}  # fmt: skip


def plural(name: str) -> str:
    """The word for several things of a kind."""
    if name in _PLURALS:
        return _PLURALS[name]
    head, of, rest = name.partition(" of ")
    if of:
        return f"{plural(head)} of {rest}"
    if name.endswith(("s", "x", "ch", "sh")):
        return f"{name}es"
    if name.endswith("y") and name[-2:-1] not in "aeiou":
        return f"{name[:-1]}ies"
    return f"{name}s"


def speakable(name: str) -> bool:
    """Whether a name is one that people say, no Latin, no long compounds; and that is not held out."""
    return name not in _UNUSED_WORDS | _HELD_OUT_WORDS and len(name.split()) <= 3 and len(name) <= 24


# What things do while they move somewhere, by how their kind moves.
MOVING_VERBS = {"walk": ("walking", "running"), "drive": ("driving",), "fly": ("flying",), "swim": ("swimming",),
                "roll": ("rolling",)}  # fmt: skip
# Words for a person, and those that no label supports: they may stand for the only person in view.
PERSON_WORDS = ("person", "human", "pedestrian")
PERSON_GUESSES = (
    "man",
    "woman",
    "guy",
    "lady",
    "girl",
    "boy",
    "player",
    "model",
    "individual",
    "kid",
    "child",
    "gentleman",
    "dancer",
)

# Garments that are taken for each other, or named one for the other.
_GARMENT_GROUPS = (
    {"coat", "jacket", "blazer", "cape", "cardigan", "sweater", "vest", "suit", "hoodie", "jumper", "romper",
     "sweatshirt"},
    {"shirt", "blouse", "t-shirt", "top", "sweatshirt", "sweater", "jumper", "bodysuit", "hoodie", "dress",
     "vest", "romper", "cardigan"},
    {"pants", "jeans", "leggings", "tights", "stockings", "shorts", "suit", "romper", "jumper"},
    {"dress", "skirt", "romper", "coat", "suit"},
    {"shoes", "boots", "sandals", "heels", "pumps", "loafers", "sneakers", "flats", "wedges", "socks"},
    {"bag", "purse", "wallet", "accessories"},
    {"scarf", "cape", "sweater"},
    {"hat"},
)  # fmt: skip
GARMENT_WORDS = {
    "coat": ("coat",), "jacket": ("jacket",), "blazer": ("blazer", "jacket"), "sweater": ("sweater",),
    "cardigan": ("cardigan",), "vest": ("vest",), "suit": ("suit",), "hoodie": ("hoodie",),
    "sweatshirt": ("sweatshirt",), "shirt": ("shirt",), "blouse": ("blouse", "shirt"),
    "t-shirt": ("t-shirt", "shirt"), "top": ("top",), "pants": ("pants", "trousers"), "jeans": ("jeans",),
    "shorts": ("shorts",), "leggings": ("leggings",), "stockings": ("stockings",), "dress": ("dress",),
    "skirt": ("skirt",), "boots": ("boots",), "shoes": ("shoes",), "sandals": ("sandals",),
    "bag": ("bag", "handbag"), "purse": ("purse", "handbag"), "scarf": ("scarf",), "hat": ("hat",),
    "cape": ("cape",), "jumper": ("jumper",), "romper": ("romper",),
}  # fmt: skip
_PLURALS_OF_ONE = ("pants", "trousers", "leggings", "stockings", "boots", "shoes", "sandals", *(
    name for name, several in _PLURALS.items() if name == several and name.endswith("s")
))  # fmt: skip


def is_plural(noun: str) -> bool:
    """Whether one thing is called by a plural: "scissors", "red scissors"."""
    return any(noun.endswith(name) and noun[: -len(name)][-1:] in ("", " ") for name in _PLURALS_OF_ONE)


CARRIED_GARMENTS = frozenset(("bag", "handbag", "purse"))


def like_garments(tag: str) -> frozenset[str]:
    """All garment tags that may be taken for ``tag``, itself included."""
    alike = {tag}
    for group in _GARMENT_GROUPS:
        if tag in group:
            alike |= group
    return frozenset(alike)


# What photographs hold that nobody labelled, by a word in the file's name. A sentence must not ask for a
# thing of these families in front of such a photograph.
_SCENE_CONTENTS = {
    "street": ("road", "bike", "sign", "plant", "building", "person", "train", "lamp"),
    "photo": ("flower", "plant"),
    "scene": ("building", "plant"),
    "bakery": ("food", "vessel"), "barbershop": ("seat", "appliance"), "bathtub": ("appliance",),
    "boathouse": ("boat",), "bookcase": ("book", "lamp", "box", "figure"), "bookshop": ("book", "sign", "flower"),
    "breakwater": ("boat",), "chainlink": ("road",), "china": ("vessel", "seat", "flower", "bottle", "figure"),
    "church": ("lamp",), "cinema": ("sign", "road"), "altar": ("lamp", "figure", "person"),
    "confectionery": ("person", "food", "bag", "headwear", "clothing", "flower", "vegetable", "fruit", "bottle"),
    "coral": ("fish", "octopus", "star", "turtle", "crustacean", "seahorse", "shell"),
    "desk": ("screen", "handheld", "seat", "vessel", "lamp", "bottle", "clock", "box", "table"),
    "dining": ("seat", "table", "lamp", "vessel", "flower", "screen", "box"),
    "dishwasher": ("vessel", "pan", "appliance", "figure", "dinosaur", "hoofed", "feline", "canine", "reptile",
                   "elephant", "bear"),
    "dome": ("figure", "person"), "greenhouse": ("flower", "figure"),
    "home": ("screen", "seat", "lamp", "table", "box"),
    "lakeside": ("boat",), "library": ("book", "screen", "lamp", "table", "seat"),
    "lumbermill": ("road", "train", "hoofed", "person", "cart"),
    "medicine": ("bottle", "lamp", "clothing", "bag", "appliance"), "mosque": ("person",),
    "parking": ("seat", "sign", "post", "hoofed"), "patio": ("seat", "table", "appliance"),
    "pedestal": ("figure", "person"), "picket": ("bike", "bag"), "pier": ("boat", "train"),
    "planetarium": ("ball", "balloon", "seat", "insect"), "prison": ("person", "figure", "clothing"),
    "refrigerator": ("appliance",), "quilt": ("clothing", "bag", "bed"),
    "restaurant": ("person", "seat", "table", "lamp", "vessel", "food", "screen", "sign"),
    "seashore": ("boat",), "shoe": ("footwear", "flower", "sign"), "shower": ("feline", "canine"),
    "sliding": ("seat", "screen", "lamp", "box", "bag", "clothing"), "solar": ("road",), "stove": ("appliance", "bed"),
    "sign": ("sign", "lamp"), "studio": ("bed", "seat"), "tobacco": ("road",), "totem": ("figure", "person"),
    "toyshop": ("figure", "box", "bottle", "person", "road", "dinosaur"), "traffic": ("lamp", "sign", "post"),
    "turnstile": ("box",), "wardrobe": ("appliance", "lamp", "bed", "box"), "water": ("balloon", "ball"),
    "window": ("lamp", "seat", "table", "sign"), "yurt": ("clothing", "bed", "box"),
    "dragonfly": ("insect", "butterfly"), "ladybird": ("insect",), "free": ("lamp", "insect", "bird"),
    "friends": ("canine",), "greentock": ("clock",), "kleiber": ("bird", "person"),
    "picture": ("fruit", "tool", "vessel"), "storm": ("road",), "twowings": ("insect", "butterfly"),
    "wine": ("seat", "vessel", "bottle", "table", "lamp", "bed"), "steel": ("boat", "road"), "monastery": ("sign",),
}  # fmt: skip


def unlabelled_families(stem: str) -> frozenset[str]:
    """Families of things that a background photograph of this file name may hold without a label."""
    families: set[str] = set()
    for word in stem.lower().replace("-", "_").split("_"):
        families.update(_SCENE_CONTENTS.get(word, ()))
        families.add(kind(word).family)
    return frozenset(families)
