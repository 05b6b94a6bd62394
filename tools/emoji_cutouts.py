"""Make cutouts for generated videos from the shaded pictures of the Fluent emoji.

    npm pack @lobehub/fluent-emoji-3d && tar -xzf lobehub-fluent-emoji-3d-*.tgz
    pip install emoji
    python tools/emoji_cutouts.py package cutouts --with other_cutouts

The pictures are in an npm package (MIT licence), named by code points; the PyPI package `emoji`, which has to be
installed, tells which code points are which emoji. Only what can be filmed is taken, and each thing has its names
below.
"""

import argparse
import json
import os
import shutil
from pathlib import Path
from typing import Any

import emoji
from PIL import Image

from sgmg.data.cutouts import LABELS
from sgmg.errors import InputError
from sgmg.output import new_folder

GROUP = "emoji"
LONG_SIDE = 224
_SEEN = 8  # Of 255: what is fainter is the soft edge of nothing.

# The emoji's English name | what the thing is called, the most telling word first.
_TABLE = """
dog | dog
guide_dog | guide dog, dog
service_dog | service dog, dog
poodle | poodle, dog
wolf | wolf
fox | fox
cat | cat
black_cat | black cat, cat
tiger | tiger
leopard | leopard
lion | lion
horse | horse
zebra | zebra
cow | cow
ox | ox, bull
water_buffalo | water buffalo, buffalo
bison | bison, buffalo
pig | pig
boar | wild boar, boar
ram | ram, sheep
ewe | ewe, sheep
goat | goat
deer | deer
moose | moose
donkey | donkey
llama | llama
camel | camel, dromedary
two-hump_camel | camel, bactrian camel
giraffe | giraffe
elephant | elephant
rhinoceros | rhinoceros
hippopotamus | hippopotamus
kangaroo | kangaroo
koala | koala
polar_bear | polar bear, bear
panda | panda
monkey | monkey
gorilla | gorilla, ape
orangutan | orangutan, ape
sloth | sloth
rabbit | rabbit
mouse | mouse
rat | rat
hamster | hamster
chipmunk | chipmunk, squirrel
beaver | beaver
hedgehog | hedgehog
otter | otter
skunk | skunk
badger | badger
raccoon | raccoon
bat | bat
rooster | rooster
chicken | chicken
turkey | turkey
baby_chick | chick, baby chick
front-facing_baby_chick | chick, baby chick
hatching_chick | chick, hatching chick
bird | bird, songbird
black_bird | blackbird, bird
penguin | penguin
dove | pigeon
eagle | eagle
duck | duck
goose | goose
swan | swan
owl | owl
flamingo | flamingo
peacock | peacock
parrot | parrot
frog | frog
crocodile | crocodile
turtle | turtle
lizard | lizard
snake | snake
whale | whale
spouting_whale | whale
dolphin | dolphin
seal | seal
fish | fish
tropical_fish | tropical fish, fish
blowfish | blowfish, pufferfish, fish
shark | shark
octopus | octopus
squid | squid
jellyfish | jellyfish
crab | crab
lobster | lobster
shrimp | shrimp, prawn
oyster | oyster
spiral_shell | spiral shell, seashell, shell
snail | snail
butterfly | butterfly
bug | caterpillar
ant | ant
honeybee | bee, honeybee
beetle | beetle
lady_beetle | ladybug, ladybird, beetle
cricket | cricket, grasshopper
cockroach | cockroach
spider | spider
scorpion | scorpion
mosquito | mosquito
fly | housefly
worm | earthworm, worm
bouquet | bouquet, bunch of flowers
rose | rose, flower
wilted_flower | wilted rose, flower
hibiscus | hibiscus, flower
sunflower | sunflower, flower
blossom | daisy, flower
tulip | tulip, flower
hyacinth | hyacinth, flower
cherry_blossom | flower
seedling | seedling, sprout
potted_plant | potted plant, houseplant
evergreen_tree | fir tree, conifer, tree
deciduous_tree | tree
palm_tree | palm tree, palm, tree
Christmas_tree | christmas tree, decorated tree, tree
cactus | cactus
sheaf_of_rice | wheat, sheaf of grain
herb | herb, sprig
four_leaf_clover | four leaf clover, clover
maple_leaf | leaf, maple leaf
mushroom | mushroom
wood | log, wood
rock | rock, stone
feather | feather
empty_nest | nest, empty nest
nest_with_eggs | nest, nest with eggs
grapes | grapes, bunch of grapes
melon | melon
watermelon | watermelon, slice of watermelon
tangerine | tangerine, orange
lemon | lemon
banana | banana
pineapple | pineapple
mango | mango
red_apple | apple
green_apple | apple
pear | pear
peach | peach
cherries | cherries
strawberry | strawberry
blueberries | blueberries
kiwi_fruit | kiwi, kiwi fruit
tomato | tomato
olive | olive
coconut | coconut
avocado | avocado
eggplant | eggplant, aubergine
potato | potato
carrot | carrot
ear_of_corn | corn, ear of corn, corncob
hot_pepper | hot pepper, chili pepper, pepper
bell_pepper | bell pepper, pepper
cucumber | cucumber
leafy_green | lettuce, leafy greens
broccoli | broccoli
garlic | garlic
onion | onion
peanuts | peanuts
beans | beans
chestnut | chestnut
ginger_root | ginger, ginger root
pea_pod | pea pod, peas
roasted_sweet_potato | sweet potato
bread | bread, loaf of bread
croissant | croissant
baguette_bread | baguette, bread
flatbread | flatbread, bread
pretzel | pretzel
bagel | bagel
pancakes | pancakes, stack of pancakes
waffle | waffle
cheese_wedge | cheese, piece of cheese
meat_on_bone | meat, piece of meat
poultry_leg | chicken leg, drumstick
cut_of_meat | steak, meat
bacon | bacon
hamburger | hamburger, burger
french_fries | french fries, fries, chips
pizza | slice of pizza, pizza
hot_dog | hot dog
sandwich | sandwich
taco | taco
burrito | burrito, wrap
stuffed_flatbread | pita, kebab
egg | egg
cooking | frying pan, pan
pot_of_food | pot of stew, pot
shallow_pan_of_food | paella, pan
bowl_with_spoon | bowl
green_salad | salad, bowl of salad
popcorn | popcorn
butter | butter
canned_food | tin can, can
bento_box | lunch box, bento box
rice_ball | rice ball
cooked_rice | bowl of rice, rice
steaming_bowl | bowl of noodles, noodles, bowl
spaghetti | spaghetti, pasta
sushi | sushi
fried_shrimp | fried shrimp
dumpling | dumpling
fortune_cookie | fortune cookie, cookie
takeout_box | takeout box
soft_ice_cream | ice cream, ice cream cone
shaved_ice | shaved ice, ice cream
ice_cream | ice cream
doughnut | doughnut, donut
cookie | cookie, biscuit
birthday_cake | birthday cake, cake
shortcake | slice of cake, cake
cupcake | cupcake, muffin
pie | pie
chocolate_bar | chocolate bar, chocolate
candy | candy, sweet
lollipop | lollipop
custard | pudding, custard
honey_pot | honey pot, jar of honey
jar | jar
baby_bottle | baby bottle, bottle
glass_of_milk | glass of milk, milk
hot_beverage | cup of coffee, cup
teapot | teapot
teacup_without_handle | teacup, cup
bottle_with_popping_cork | champagne bottle, bottle
wine_glass | wine glass, glass of wine
cocktail_glass | cocktail, cocktail glass
tropical_drink | cocktail, tropical drink
beer_mug | beer mug, mug of beer
tumbler_glass | tumbler, glass of whiskey
cup_with_straw | soda cup, paper cup, cup
bubble_tea | bubble tea, cup
beverage_box | juice box
chopsticks | chopsticks
fork_and_knife_with_plate | plate, dinner plate
spoon | spoon
kitchen_knife | kitchen knife, knife
salt | salt shaker
amphora | vase, amphora
automobile | car
oncoming_automobile | car
taxi | taxi, cab, car
oncoming_taxi | taxi, cab, car
police_car | police car, car
oncoming_police_car | police car, car
sport_utility_vehicle | suv, car
racing_car | racing car, race car, car
pickup_truck | pickup truck, pickup, truck
delivery_truck | delivery truck, truck
articulated_lorry | semi truck, trailer truck, truck
fire_engine | fire engine, fire truck
ambulance | ambulance
minibus | minibus, van
bus | bus
oncoming_bus | bus
trolleybus | trolleybus, bus
tractor | tractor
auto_rickshaw | auto rickshaw, rickshaw, tuk tuk
motorcycle | motorcycle, motorbike
motor_scooter | motor scooter, scooter, moped
kick_scooter | kick scooter, scooter
bicycle | bicycle
skateboard | skateboard
roller_skate | roller skate, skate
locomotive | steam locomotive, steam train, train
railway_car | railway car, train
bullet_train | bullet train, train
train | train
light_rail | train
tram | tram, streetcar
monorail | monorail, train
airplane | airplane
small_airplane | small airplane, small plane, airplane
helicopter | helicopter
rocket | rocket, spaceship
satellite | satellite
ship | ship
passenger_ship | cruise ship, ship
ferry | ferry boat, ship
sailboat | sailboat, sailing boat
speedboat | speedboat, boat
motor_boat | motorboat, boat
canoe | canoe, boat
anchor | anchor
ring_buoy | lifebuoy, life ring
wheel | wheel, tire
fuel_pump | gas pump, fuel pump, petrol pump
stop_sign | stop sign
vertical_traffic_light | traffic light, traffic lights
sled | sled, sleigh
manual_wheelchair | wheelchair
motorized_wheelchair | electric wheelchair, wheelchair
shopping_cart | shopping cart, trolley
soccer_ball | soccer ball, ball
baseball | baseball, ball
softball | softball, ball
basketball | basketball, ball
volleyball | volleyball, ball
american_football | american football, ball
rugby_football | rugby ball, ball
pool_8_ball | billiard ball, pool ball, ball
tennis | tennis racket, racket
badminton | badminton racket, racket
ping_pong | table tennis paddle, ping pong paddle, paddle
boxing_glove | boxing glove
martial_arts_uniform | martial arts uniform
goal_net | goal, goal net
ice_skate | ice skate, skate
skis | skis, pair of skis
curling_stone | curling stone
lacrosse | lacrosse stick
bow_and_arrow | bow and arrow, bow
diving_mask | diving mask, snorkel
bullseye | dartboard, target
trophy | trophy
sports_medal | medal
kite | kite
yo-yo | yo-yo
boomerang | boomerang
teddy_bear | teddy bear
game_die | die, dice
puzzle_piece | puzzle piece
chess_pawn | chess pawn, chess piece
nesting_dolls | nesting doll, russian doll, doll
piñata | pinata
balloon | balloon
video_game | game controller, gamepad
joystick | joystick
carousel_horse | carousel horse
playground_slide | playground slide, slide
guitar | guitar
violin | violin
banjo | banjo
saxophone | saxophone
trumpet | trumpet
accordion | accordion
drum | drum
long_drum | long drum, conga, drum
maracas | maracas
flute | flute
musical_keyboard | piano keyboard, synthesizer
microphone | microphone
studio_microphone | microphone, studio microphone
headphone | headphones
radio | radio
television | television, tv
camera | camera
camera_with_flash | camera
video_camera | video camera, camcorder
movie_camera | movie camera, film camera
film_projector | film projector, projector
mobile_phone | smartphone, mobile, phone
telephone | rotary phone, phone
telephone_receiver | phone receiver, handset
laptop | laptop
desktop_computer | desktop computer, computer
keyboard | computer keyboard, keyboard
computer_mouse | computer mouse
printer | printer
battery | battery
electric_plug | power plug, electric plug, plug
light_bulb | light bulb, bulb
flashlight | flashlight, torch
candle | candle
red_paper_lantern | paper lantern, lantern
diya_lamp | oil lamp, lamp
alarm_clock | alarm clock, clock
mantelpiece_clock | mantel clock, clock
stopwatch | stopwatch
timer_clock | kitchen timer, timer
hourglass_done | hourglass
watch | wristwatch, watch
compass | compass
thermometer | thermometer
magnifying_glass_tilted_left | magnifying glass
microscope | microscope
telescope | telescope
test_tube | test tube
abacus | abacus
balance_scale | balance scale, scales
globe_showing_Europe-Africa | globe
hammer | hammer
axe | axe, hatchet
pick | pickaxe, pick
wrench | wrench, spanner
screwdriver | screwdriver
carpentry_saw | saw, handsaw
nut_and_bolt | nut and bolt, bolt
gear | gear, cogwheel
clamp | clamp, vise
toolbox | toolbox, tool box
magnet | magnet
ladder | ladder
hook | hook
chains | chain, chains
link | chain, chain link
brick | brick, bricks
oil_drum | oil drum, barrel
fire_extinguisher | fire extinguisher
dagger | dagger
shield | shield
water_pistol | water pistol, water gun
bomb | bomb
key | key
old_key | key
locked | padlock, lock
scissors | scissors
pushpin | pushpin, thumbtack
straight_ruler | ruler
triangular_ruler | set square, triangular ruler
pencil | pencil
pen | ballpoint pen, pen
fountain_pen | fountain pen, pen
crayon | crayon
paintbrush | paintbrush, brush
artist_palette | palette, paint palette
framed_picture | picture frame, painting
closed_book | book
green_book | book
blue_book | book
orange_book | book
open_book | open book, book
books | stack of books, books
notebook | exercise book, notepad
spiral_notepad | spiral notepad, notepad
clipboard | clipboard
scroll | scroll
newspaper | newspaper
envelope | envelope, letter
credit_card | credit card, bank card
money_bag | money bag, bag
coin | coin
package | package, parcel, cardboard box, box
wrapped_gift | gift, present, gift box
open_mailbox_with_lowered_flag | mailbox, letter box
postbox | postbox, post box
file_cabinet | filing cabinet
wastebasket | wastebasket, trash can
bell | bell
bellhop_bell | service bell, reception bell, bell
megaphone | megaphone
barber_pole | barber pole
chair | chair
seat | seat, chair
bed | bed
toilet | toilet
bathtub | bathtub, bath
mirror | mirror, hand mirror
plunger | plunger
bucket | bucket
broom | broom
basket | basket
soap | soap, bar of soap
sponge | sponge
toothbrush | toothbrush
razor | razor
hair_pick | hair comb, comb
lotion_bottle | lotion bottle, bottle
roll_of_paper | toilet paper, paper roll, toilet roll
thread | spool of thread, thread
yarn | ball of yarn, yarn
safety_pin | safety pin
sewing_needle | sewing needle, needle
mouse_trap | mousetrap
syringe | syringe
pill | pill, capsule
stethoscope | stethoscope
crutch | crutch
adhesive_bandage | plaster, bandage
lipstick | lipstick
umbrella | umbrella
closed_umbrella | umbrella, closed umbrella
folding_hand_fan | hand fan, folding fan
luggage | suitcase, luggage
backpack | backpack, rucksack
briefcase | briefcase
handbag | handbag, bag
purse | purse, bag
clutch_bag | clutch bag, bag
shopping_bags | shopping bags, bag
glasses | glasses, eyeglasses, spectacles
sunglasses | sunglasses
goggles | goggles, safety goggles
t-shirt | t-shirt, shirt
running_shirt | tank top, sleeveless shirt, shirt
woman’s_clothes | blouse
jeans | jeans
shorts | shorts
briefs | briefs, underpants
dress | dress
kimono | kimono
sari | sari
bikini | bikini
one-piece_swimsuit | swimsuit, bathing suit
coat | coat
lab_coat | lab coat, coat
safety_vest | safety vest, vest
scarf | scarf
gloves | gloves, pair of gloves
socks | socks, pair of socks
top_hat | top hat, hat
woman’s_hat | straw hat, sun hat, hat
billed_cap | baseball cap, cap
graduation_cap | graduation cap, cap
military_helmet | army helmet, helmet
rescue_worker’s_helmet | rescue helmet, hard hat, helmet
crown | crown
ring | diamond ring
ribbon | ribbon, bow tie
man’s_shoe | leather shoe, shoe
running_shoe | running shoe, sneaker, shoe
flat_shoe | flat shoe, shoe
high-heeled_shoe | high heel, high-heeled shoe, shoe
woman’s_sandal | sandal
thong_sandal | flip-flop
hiking_boot | hiking boot, boot
woman’s_boot | boot
ballet_shoes | ballet shoes
"""


def things() -> dict[str, list[str]]:
    """The emoji that are taken, by their English names, and what each thing is called."""
    lines = [line.split(" | ") for line in _TABLE.strip().splitlines()]
    return {name: names.split(", ") for name, names in lines}


def main() -> None:
    """Write the folder and say how many things it holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("package", type=Path, help="the unpacked npm package")
    parser.add_argument("output", type=Path, help="folder to make")
    parser.add_argument("--with", dest="others", type=Path, metavar="CUTOUTS", help="cutouts to put in as well")
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier result")
    arguments = parser.parse_args()
    count = make(arguments.package, arguments.output, arguments.others, arguments.overwrite)
    print(f"{arguments.output}: {count} things from emoji")


def make(package: Path, output: Path, others: Path | None = None, overwrite: bool = False) -> int:
    """Write the cutouts of the emoji that the package has, and those of another folder; count the former.

    Raises:
        InputError: the package has none of the pictures, or the other folder is not one of cutouts.
    """
    with new_folder(output, overwrite, marker=LABELS) as draft:
        groups = _take_over(others, draft) if others else {}
        if GROUP in groups:
            raise InputError(f"{others} has a group '{GROUP}' already: give a folder without emoji.")
        groups[GROUP] = _write_emoji(package, draft)
        text = json.dumps(groups, indent=1, ensure_ascii=False)
        (draft / LABELS).write_text(text + "\n", encoding="utf-8")
    return len(groups[GROUP])


def _write_emoji(package: Path, draft: Path) -> list[dict[str, Any]]:
    """Write the cutouts, and list them for ``labels.json``."""
    pictures = _pictures(package)
    (draft / GROUP).mkdir()
    entries = []
    for name, names in things().items():
        if name in pictures:
            file = f"{GROUP}/{pictures[name].stem}.webp"
            size = _write_cutout(pictures[name], draft / file)
            entries.append({"file": file, "names": names, "borders_touched": 0, "size": list(size)})
    if not entries:
        raise InputError(f"{package} has no pictures of things in 'assets': give the unpacked npm package.")
    return entries


def _pictures(package: Path) -> dict[str, Path]:
    """The package's pictures by the English names of their emoji."""
    names = {"-".join(f"{ord(character):04x}" for character in one): one for one in emoji.EMOJI_DATA}
    return {
        emoji.EMOJI_DATA[names[path.stem]]["en"].strip(":"): path
        for path in sorted((package / "assets").glob("*.webp"))
        if path.stem in names
    }


def _write_cutout(source: Path, target: Path) -> tuple[int, int]:
    """Write a picture without its empty margin, and say how large it became."""
    with Image.open(source) as opened:
        image = opened.convert("RGBA")
    image = image.crop(image.getchannel("A").point(lambda alpha: 255 * (alpha >= _SEEN)).getbbox())
    image.thumbnail((LONG_SIDE, LONG_SIDE), Image.Resampling.LANCZOS)
    image.save(target, quality=90, method=4)
    return image.size


def _take_over(folder: Path, draft: Path) -> dict[str, list[dict[str, Any]]]:
    """Link or copy the files of another folder of cutouts, and give its groups."""
    try:
        groups: dict[str, list[dict[str, Any]]] = json.loads((folder / LABELS).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{folder} has no readable {LABELS}: give a folder of cutouts.") from error
    for entry in (entry for group in groups.values() for entry in group):
        target = draft / entry["file"]
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(folder / entry["file"], target)
        except OSError:  # another file system
            shutil.copyfile(folder / entry["file"], target)
    return groups


if __name__ == "__main__":
    main()
