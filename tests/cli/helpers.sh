# What every case of tests/cli can use.
set -u

samebrain() { "$SAMEBRAIN" "$@"; }

# image FILE KIND: see image.py
image() { python3 "$HERE/image.py" "$@"; }

# The fixture's scan of person 1 or 2, and the template it goes with.
scan() { echo "$FIXTURE/sub-000$1/ses-01/anat/sub-000$1_ses-01_T1w.nii.gz"; }
TEMPLATE=$FIXTURE/template_T1w.nii.gz

# prepare ARGUMENTS...: with the fixture's template and the coarsest grid, which is quick.
prepare() { samebrain prepare --quiet --template "$TEMPLATE" --resolution-mm 4 "$@"; }

# The exit code of a command, on standard output.
code() {
  "$@"
  echo "exit code $?"
}
