"""The files that several tools read and write: data sets of images, and files that are never half
written.

idx.py and cifar10.py know the two formats, images.py chooses between them, packed.py unpacks, atomic.py
writes.
"""
