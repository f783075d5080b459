"""What a support answer would ask first: facts that are gathered, and checks that judge them."""
