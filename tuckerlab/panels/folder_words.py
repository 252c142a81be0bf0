"""What the look at a folder of images says of each finding: what there is, and what to do."""

from tuckerlab.data.folder_check import Finding
from tuckerlab.i18n import N_, _

NAMED = 4  # of a long list

WORDS = {
    "no_train": (
        N_("The folder has {names}, but no “train” folder."),
        N_("Name the folder with the training images “train”."),
    ),
    "no_test_split": (
        N_("There is a “train” folder, but none with images to test on."),
        N_("Add a folder “test” beside it, with the same class folders. Or give the “train” folder itself: then a "
           "fifth of it is set aside for the test."),
    ),
    "no_pictures": (
        N_("No images were found in class folders of {folder}."),
        N_("Give the folder that holds one folder of images for each class, as {names} files. Perhaps it is one level "
           "higher or lower."),
    ),
    "one_class": (
        N_("There is one class only: {name}."),
        N_("Sort the images into two or more folders, one for each answer that the network shall learn to give."),
    ),
    "few": (
        N_("Class folders with too few images: {names}."),
        N_("Put at least {least:.0f} in each, or remove the folder. Some twenty or more are needed to learn anything."),
    ),
    "no_test_pictures": (
        N_("The test folder {folder} has no images in class folders."),
        N_("Put images there, in the same class folders as for training."),
    ),
    "untrained": (
        N_("Classes that are tested but never trained: {names}."),
        N_("Add training images of them, correct the spelling of the folder, or remove it from the test."),
    ),
    "unreadable": (
        N_("{count:,.0f} of {total:,.0f} files cannot be read: {names}."),
        N_("Replace or remove them: the files are broken, or not what their names say."),
    ),
    "leak": (
        N_("Test images that are copies of training images ({count:,.0f}): {names}."),
        N_("Remove the copies: the network has seen the answers, and the accuracy will look better than it is."),
    ),
    "contradiction": (
        N_("Images that lie in more than one class ({count:,.0f}): {names}."),
        N_("Decide on one class for each: nobody can learn two answers to one image."),
    ),
    "drawn": (
        N_("There is no test folder: a fifth of each class is set aside for the test (images in all: {count:,.0f})."),
        N_("Good for a first look. If several images show the same part or scene, make folders “train” and “test” of "
           "your own that keep them together."),
    ),
    "untested": (
        N_("Classes without a test image: {names}."),
        N_("Add test images of them: until then the accuracy says nothing about these classes."),
    ),
    "tiny": (
        N_("Classes with fewer than {least:.0f} training images: {names}."),
        N_("Collect more, or join classes: what is learned from so few images is a matter of luck."),
    ),
    "imbalance": (
        N_("The classes are of very different size: {most:,.0f} training images of {name_most}, {least:,.0f} of "
           "{name}."),
        N_("Always answering {name_most} would often be right too. Look at the accuracy of each class, and collect "
           "more of the rare ones."),
    ),
    "mixed_sizes": (
        N_("The images have {sizes:,.0f} different sizes, from {width:.0f} × {height:.0f} to {width_to:.0f} × "
           "{height_to:.0f} pixels."),
        N_("All are stretched to one square size. If shapes matter, cut them to one size yourself."),
    ),
    "mixed_colour": (
        N_("Some images are in colour ({colour:,.0f}), others grey ({grey:,.0f})."),
        N_("If that goes with the class, the network may learn the colour in place of the object."),
    ),
    "small": (
        N_("Images less than {pixels:.0f} pixels wide or high: {count:,.0f}."),
        N_("There is little to see in them. Use larger images if you have them."),
    ),
    "left_out": (
        N_("Entries that are not images are left out ({count:,.0f}): {names}."),
        N_("Nothing to do, unless images are among them: save these as PNG or JPEG, directly in their class folder."),
    ),
    "loose": (
        N_("Images outside the class folders are not used ({count:,.0f}): {names}."),
        N_("Move them to the folder of their class."),
    ),
    "unused": (
        N_("Folders beside the training and test images are not used: {names}."),
        N_("Nothing to do, unless you miss their images."),
    ),
}  # fmt: skip


def words(finding: Finding) -> tuple[str, str]:
    """What there is, and what to do."""
    values = {name: _list(value) if isinstance(value, tuple) else value for name, value in finding.values.items()}
    said, advice = WORDS[finding.key]
    return _(said, **values), _(advice, **values)


def _list(names: tuple[str, ...]) -> str:
    if len(names) <= NAMED + 1:  # one more fits in the place of "and 1 more"
        return ", ".join(names)
    return _("{names} and {more:,.0f} more", names=", ".join(names[:NAMED]), more=len(names) - NAMED)
